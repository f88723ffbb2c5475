-- Who is published first, and how fast.
-- depends: 0009.retention
set local role stagebus_owner;

-- It answers one column more; the code that is replayed after this makes it again.
-- squawk-ignore ban-drop-function
drop function if exists stagebus.claim_batches(uuid, integer, interval, bigint);

-- The share of a job in what is published, while others wait: each step up doubles it.
alter table stagebus_data.jobs
    add column if not exists priority smallint not null default 5
        constraint priority_is_0_to_9 check (priority between 0 and 9);

-- When a batch's turn is over: that of its destination when the batch was made, and then its own
-- tasks and those before it in its stage. Small is early.
alter table stagebus_data.batches
    add column if not exists turn bigint not null default 0;

-- turn: of the last batch that was claimed, a second ago at most, and where the turns of what is
-- made now begin; looked_from: where claims begin, the turn a second before.
-- per_second: tasks that may be claimed; null: any number. paid_until: none are before.
alter table stagebus_data.destinations
    add column if not exists turn bigint not null default 0,
    add column if not exists turn_at timestamptz,
    add column if not exists looked_from bigint not null default 0
        constraint claims_begin_at_a_turn_that_has_been check (looked_from <= turn),
    add column if not exists per_second double precision
        constraint a_rate_limit_is_0_001_to_1e9 check (per_second between 0.001 and 1e9),
    add column if not exists paid_until timestamptz
        constraint only_a_limited_rate_is_paid check (paid_until is null or per_second is not null);

-- What can be claimed, in the order of turns; batches_waiting has the oldest first.
-- squawk-ignore require-concurrent-index-creation
create index if not exists batches_by_turn
    on stagebus_data.batches (destination, turn, seq) where state = 'pending_queue';

reset role;
