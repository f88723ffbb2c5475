-- Small tables beside tasks: the attempts that run, the tasks that wait for their next attempt,
-- and those that failed.
-- depends: 0004.batches-and-sends
set local role stagebus_owner;

create table if not exists stagebus_data.running_attempts (
    job_id       uuid        not null,
    stage        integer     not null,
    task_index   integer     not null,
    attempt      smallint    not null,
    worker       text,
    started_at   timestamptz not null,
    lease_until  timestamptz not null,
    primary key (job_id, stage, task_index)
);

create index if not exists running_attempts_by_lease
    on stagebus_data.running_attempts (lease_until);

create table if not exists stagebus_data.waiting_retries (
    job_id      uuid        not null,
    stage       integer     not null,
    task_index  integer     not null,
    due_at      timestamptz not null,
    error       text        not null,
    primary key (job_id, stage, task_index)
);

create index if not exists waiting_retries_by_due_time
    on stagebus_data.waiting_retries (due_at);

create table if not exists stagebus_data.failed_tasks (
    job_id      uuid        not null,
    stage       integer     not null,
    task_index  integer     not null,
    attempt     smallint    not null,
    error       text        not null,
    failed_at   timestamptz not null,
    primary key (job_id, stage, task_index)
);

reset role;
