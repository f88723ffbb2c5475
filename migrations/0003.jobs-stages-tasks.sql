-- Jobs, their stages, the tasks, and the tree that counts what is finished.
-- depends: 0002.destinations-and-task-types
set local role stagebus_owner;

do $$
begin
    create domain stagebus_data.job_state as text
        constraint job_state_is_known check (value in (
            'created', 'running', 'completed', 'completed_with_errors', 'failed', 'cancelled'));
    create domain stagebus_data.stage_state as text
        constraint stage_state_is_known check (value in (
            'filling', 'provisional', 'open',
            'completed', 'completed_with_errors', 'failed', 'cancelled'));
    create domain stagebus_data.ending as text
        constraint ending_is_known check (value in ('cancel', 'deadline', 'withdraw'));
    create domain stagebus_data.nonce as text
        constraint nonce_is_10_hex_digits check (value ~ '^[0-9a-f]{10}$');
    create domain stagebus_data.task_state as text
        constraint task_state_is_known check (value in (
            'processing', 'retry_wait', 'completed', 'failed', 'cancelled'));
    create domain stagebus_data.attempt as smallint
        constraint attempt_starts_at_1 check (value >= 1);
exception when duplicate_object then
    raise notice 'the domains are there already';
end;
$$;

-- A plan of a job type, in the version that its definition made: the stages of its jobs. owner:
-- whose rights the functions that it names have. timeout: how long advancing one of its jobs may
-- take.
create table if not exists stagebus_data.plans (
    job_type    text        not null,
    version     integer     not null,
    plan        jsonb       not null,
    owner       text        not null,
    timeout     interval    not null default interval '5 minutes',
    defined_by  text        not null default session_user,
    defined_at  timestamptz not null,
    primary key (job_type, version),
    constraint job_type_has_1_to_100_characters check (length(job_type) between 1 and 100),
    constraint version_starts_at_1 check (version >= 1),
    constraint timeout_is_1_second_to_1_day
        check (timeout between interval '1 second' and interval '1 day')
);

-- waits_for: the names of the stages that end before this one begins; of a final one: null, it
-- waits for all that runs. Its tasks are a number of them (task_count: a number or a path) or what
-- a function returns; group_by: the parameter for each value of which there is a stage.
-- Paths are SQL/JSON paths over {"parameters": …, "stages": {name: …}}.
create table if not exists stagebus_data.plan_stages (
    job_type            text     not null,
    version             integer  not null,
    stage               integer  not null,
    name                text     not null,
    task_type           text     not null references stagebus_data.task_types (task_type),
    waits_for           text[],
    task_count          jsonpath,
    task_function       text,
    group_by            text,
    parameters          stagebus_data.parameters not null default '{}',
    skip_when           jsonpath,
    tolerated_failures  stagebus_data.tolerated_failures,
    on_failure          stagebus_data.on_failure,
    primary key (job_type, version, stage),
    foreign key (job_type, version)
        references stagebus_data.plans (job_type, version) on delete cascade,
    constraint a_name_is_there_once_in_a_plan unique (job_type, version, name),
    constraint stage_is_1_to_100 check (stage between 1 and 100),
    constraint name_is_an_identifier check (name ~ '^[A-Za-z_][A-Za-z0-9_]{0,62}$'),
    constraint tasks_are_counted_or_returned check (
        (task_count is null) <> (task_function is null)),
    constraint only_returned_tasks_are_grouped
        check (group_by is null or task_function is not null)
);

-- plan_version: of the plan that makes its stages; null: its controller makes them.
create table if not exists stagebus_data.jobs (
    job_id        uuid        not null primary key,
    job_type      text        not null,
    plan_version  integer,
    state         stagebus_data.job_state not null default 'created',
    cancelling    boolean     not null default false,
    parameters    stagebus_data.parameters not null default '{}',
    created_at    timestamptz not null,
    created_by    text        not null default session_user,
    started_at    timestamptz,
    ended_at      timestamptz,
    foreign key (job_type, plan_version) references stagebus_data.plans (job_type, version),
    constraint job_type_has_1_to_100_characters check (length(job_type) between 1 and 100),
    constraint a_job_has_an_end_exactly_when_it_ended
        check ((ended_at is null) = (state in ('created', 'running'))),
    constraint a_job_that_is_being_cancelled_ends_as_cancelled
        check (not cancelling or state in ('created', 'running', 'cancelled'))
);

-- The one unique key that job_id does not lead: it is what finds the job.
create table if not exists stagebus_data.job_dedupe_keys (
    dedupe_key  text        not null primary key,
    job_id      uuid        not null
                references stagebus_data.jobs (job_id) on delete cascade
                deferrable initially deferred,
    constraint dedupe_key_has_1_to_512_characters check (length(dedupe_key) between 1 and 512)
);

create index if not exists job_dedupe_keys_of_a_job
    on stagebus_data.job_dedupe_keys (job_id);

-- ending: why its tasks are being cancelled; from then on nothing of it is claimed or started.
-- withdraw: a provisional stage that goes away with all it has.
-- confirm_by: until when a provisional stage may be published; kept when it was in time.
-- repair: reopened after its job had gone past it; its end advances nothing.
-- name: what its job's plan calls it; several stages of one name differ in group_value.
-- atomic: each of its batches is exactly one send. own_parameters: some of its tasks are not just
-- numbered.
create table if not exists stagebus_data.stages (
    job_id              uuid        not null
                        references stagebus_data.jobs (job_id) on delete cascade,
    stage               integer     not null,
    name                text,
    group_value         text,
    skipped             boolean     not null default false,
    task_type           text        not null references stagebus_data.task_types (task_type),
    destination         text        not null references stagebus_data.destinations (destination),
    state               stagebus_data.stage_state not null default 'filling',
    ending              stagebus_data.ending,
    repair              boolean     not null default false,
    parameters          stagebus_data.parameters not null default '{}',
    nonce               stagebus_data.nonce not null,
    tolerated_failures  stagebus_data.tolerated_failures not null default '100%',
    deadline            timestamptz,
    confirm_by          timestamptz,
    on_failure          stagebus_data.on_failure not null default 'fail_job',
    atomic              boolean     not null default false,
    own_parameters      boolean     not null default false,
    task_count          stagebus_data.counter not null default 0,
    batch_count         stagebus_data.counter not null default 0,
    body_bytes          bigint      not null default 0,
    open_groups         stagebus_data.counter not null default 0,
    completed           stagebus_data.counter not null default 0,
    failed              stagebus_data.counter not null default 0,
    cancelled           stagebus_data.counter not null default 0,
    created_at          timestamptz not null,
    sealed_at           timestamptz,
    ended_at            timestamptz,
    primary key (job_id, stage),
    constraint stage_is_1_to_32767 check (stage between 1 and 32767),
    constraint a_provisional_stage_is_only_withdrawn_and_no_other_is check (
        ending is null or (ending = 'withdraw') = (state = 'provisional')),
    constraint a_provisional_stage_has_a_time
        check (state <> 'provisional' or confirm_by is not null),
    constraint a_stage_is_sealed_exactly_when_it_left_filling
        check ((sealed_at is null) = (state = 'filling')),
    constraint a_stage_has_an_end_exactly_when_it_ended check ((ended_at is null) = (state in (
        'filling', 'provisional', 'open'))),
    constraint a_skipped_stage_is_completed_without_tasks check (
        not skipped or (name is not null and state = 'completed' and task_count = 0)),
    constraint body_bytes_are_not_negative check (body_bytes >= 0),
    constraint no_more_tasks_end_than_there_are
        check (completed::bigint + failed + cancelled <= task_count)
);

-- Whose deadline comes next.
create index if not exists stages_by_deadline
    on stagebus_data.stages (deadline) where deadline is not null and ended_at is null;
-- Which provisional stage is withdrawn next, unless it is confirmed.
create index if not exists stages_by_confirm_by
    on stagebus_data.stages (confirm_by) where state = 'provisional' and ending is null;

-- state is null while the task inherits pending_queue or queued from its batch. Every other state
-- is written here, in the transaction that moves its counter. token is the worker's right to
-- finish; it stays after the attempt, so that a repeated report is recognised.
-- No index but the key: a changed column in any index would cost every update its HOT.
create table if not exists stagebus_data.tasks (
    job_id      uuid     not null,
    stage       integer  not null,
    task_index  integer  not null,
    attempt     stagebus_data.attempt not null default 1,
    state       stagebus_data.task_state,
    parameters  jsonb,
    token       uuid,
    result      jsonb,
    primary key (job_id, stage, task_index),
    constraint task_index_starts_at_1 check (task_index >= 1),
    constraint a_processing_task_has_a_token check (state <> 'processing' or token is not null),
    constraint only_a_completed_task_has_a_result check (result is null or state = 'completed')
) partition by range (job_id);

-- Only for a stage that names the parameter which tells its tasks apart.
create table if not exists stagebus_data.task_keys (
    job_id      uuid    not null,
    stage       integer not null,
    task_key    text    not null,
    task_index  integer not null,
    primary key (job_id, stage, task_key),
    constraint task_key_has_1_to_512_characters check (length(task_key) between 1 and 512)
);

-- Which task counts in which slot and group: stagebus.slot_of, stagebus.group_of.
create table if not exists stagebus_data.counter_slots (
    job_id      uuid    not null,
    stage       integer not null,
    slot_no     integer not null,
    open_tasks  stagebus_data.counter not null,
    completed   stagebus_data.counter not null default 0,
    failed      stagebus_data.counter not null default 0,
    cancelled   stagebus_data.counter not null default 0,
    primary key (job_id, stage, slot_no)
) with (fillfactor = 50);

create table if not exists stagebus_data.counter_groups (
    job_id      uuid    not null,
    stage       integer not null,
    group_no    integer not null,
    open_slots  stagebus_data.counter not null,
    completed   stagebus_data.counter not null default 0,
    failed      stagebus_data.counter not null default 0,
    cancelled   stagebus_data.counter not null default 0,
    primary key (job_id, stage, group_no)
) with (fillfactor = 50);

-- A stage that ended and that nobody has acted on yet: the next stage or finish_job is due. Of a
-- job with a plan it is advance_job that is due, also after its submission (stage 0).
create table if not exists stagebus_data.due_advances (
    job_id     uuid        not null references stagebus_data.jobs (job_id) on delete cascade,
    stage      integer     not null,
    planned    boolean     not null default false,
    due_since  timestamptz not null,
    primary key (job_id, stage)
);

-- What advance_job has to do, oldest first.
create index if not exists due_advances_planned
    on stagebus_data.due_advances (due_since) where planned;

-- A row for each job with a plan: who advances it has locked this row. failures: how often that
-- failed since it last succeeded, where, what was done there (why), and what it raised.
create table if not exists stagebus_data.job_advances (
    job_id       uuid        not null primary key
                 references stagebus_data.jobs (job_id) on delete cascade,
    next_try_at  timestamptz not null,
    failures     integer     not null default 0,
    stage_name   text,
    why          text,
    error        text,
    constraint a_failure_says_why check ((failures > 0) = (why is not null and error is not null))
) with (fillfactor = 50);

reset role;
