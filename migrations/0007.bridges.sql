-- Which bridges there are, as each says of itself; where the last failures are found; and how much
-- is published again.
-- depends: 0006.orders
set local role stagebus_owner;

-- A bridge that drains takes its row away; one that died leaves it, with the time of its last word.
-- code_digest: of the sql/ that it came with. lease: what it claims batches for.
create table if not exists stagebus_data.bridges (
    bridge_id    uuid        not null primary key,
    host         text        not null,
    pid          integer     not null,
    version      text        not null,
    code_digest  text        not null,
    lease        interval,
    started_at   timestamptz not null,
    seen_at      timestamptz not null
) with (fillfactor = 50);

-- How many of its tasks no worker had started when it was last published again; null: never. Those
-- of a range are not counted by anything else but their rows.
alter table stagebus_data.batches
    add column if not exists unstarted integer;

-- The three indexes hold few rows; each is made by one look at its table, while writers wait.

-- Batches that wait for an operator.
-- squawk-ignore require-concurrent-index-creation
create index if not exists batches_stopped
    on stagebus_data.batches (job_id, stage) where state in ('failed', 'held');

-- The last sends that the broker did not accept.
-- squawk-ignore require-concurrent-index-creation
create index if not exists sends_not_accepted
    on stagebus_data.sends (recorded_at) where outcome <> 'accepted';

-- The last tasks that failed.
-- squawk-ignore require-concurrent-index-creation
create index if not exists failed_tasks_by_time
    on stagebus_data.failed_tasks (failed_at);

reset role;
