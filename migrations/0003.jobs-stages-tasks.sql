-- Jobs, their stages, the tasks, and the tree that counts what is finished.
-- depends: 0002.destinations-and-task-types
set local role stagebus_owner;

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
    parameters          jsonb    not null default '{}',
    skip_when           jsonpath,
    tolerated_failures  text,
    on_failure          text,
    primary key (job_type, version, stage),
    foreign key (job_type, version)
        references stagebus_data.plans (job_type, version) on delete cascade,
    constraint a_name_is_there_once_in_a_plan unique (job_type, version, name),
    constraint stage_is_1_to_100 check (stage between 1 and 100),
    constraint name_is_an_identifier check (name ~ '^[A-Za-z_][A-Za-z0-9_]{0,62}$'),
    constraint stage_parameters_are_an_object check (jsonb_typeof(parameters) = 'object'),
    constraint tasks_are_counted_or_returned check (
        (task_count is null) <> (task_function is null)),
    constraint only_returned_tasks_are_grouped
        check (group_by is null or task_function is not null),
    constraint tolerated_failures_is_a_number_or_a_percentage check (
        tolerated_failures ~ '^([0-9]{1,9}|(100|[0-9]{1,2}(\.[0-9]{1,6})?)%)$'),
    constraint on_failure_is_fail_job_or_wait check (on_failure in ('fail_job', 'wait'))
);

-- plan_version: of the plan that makes its stages; null: its controller makes them.
create table if not exists stagebus_data.jobs (
    job_id        uuid        not null primary key,
    job_type      text        not null,
    plan_version  integer,
    state         text        not null default 'created',
    cancelling    boolean     not null default false,
    parameters    jsonb       not null default '{}',
    created_at    timestamptz not null,
    created_by    text        not null default session_user,
    started_at    timestamptz,
    ended_at      timestamptz,
    foreign key (job_type, plan_version) references stagebus_data.plans (job_type, version),
    constraint job_type_has_1_to_100_characters check (length(job_type) between 1 and 100),
    constraint job_parameters_are_an_object check (jsonb_typeof(parameters) = 'object'),
    constraint job_state_is_known check (state in (
        'created', 'running', 'completed', 'completed_with_errors', 'failed', 'cancelled')),
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
    state               text        not null default 'filling',
    ending              text,
    repair              boolean     not null default false,
    parameters          jsonb       not null default '{}',
    nonce               text        not null,
    tolerated_failures  text        not null default '100%',
    deadline            timestamptz,
    confirm_by          timestamptz,
    on_failure          text        not null default 'fail_job',
    atomic              boolean     not null default false,
    own_parameters      boolean     not null default false,
    task_count          integer     not null default 0,
    batch_count         integer     not null default 0,
    body_bytes          bigint      not null default 0,
    open_groups         integer     not null default 0,
    completed           integer     not null default 0,
    failed              integer     not null default 0,
    cancelled           integer     not null default 0,
    created_at          timestamptz not null,
    sealed_at           timestamptz,
    ended_at            timestamptz,
    primary key (job_id, stage),
    constraint stage_is_1_to_32767 check (stage between 1 and 32767),
    constraint stage_parameters_are_an_object check (jsonb_typeof(parameters) = 'object'),
    constraint nonce_is_10_hex_digits check (nonce ~ '^[0-9a-f]{10}$'),
    constraint stage_state_is_known check (state in (
        'filling', 'provisional', 'open',
        'completed', 'completed_with_errors', 'failed', 'cancelled')),
    constraint ending_is_known check (ending in ('cancel', 'deadline', 'withdraw')),
    constraint a_provisional_stage_is_only_withdrawn_and_no_other_is check (
        ending is null or (ending = 'withdraw') = (state = 'provisional')),
    constraint a_provisional_stage_has_a_time
        check (state <> 'provisional' or confirm_by is not null),
    constraint tolerated_failures_is_a_number_or_a_percentage check (
        tolerated_failures ~ '^([0-9]{1,9}|(100|[0-9]{1,2}(\.[0-9]{1,6})?)%)$'),
    constraint on_failure_is_fail_job_or_wait check (on_failure in ('fail_job', 'wait')),
    constraint a_stage_is_sealed_exactly_when_it_left_filling
        check ((sealed_at is null) = (state = 'filling')),
    constraint a_stage_has_an_end_exactly_when_it_ended check ((ended_at is null) = (state in (
        'filling', 'provisional', 'open'))),
    constraint a_skipped_stage_is_completed_without_tasks check (
        not skipped or (name is not null and state = 'completed' and task_count = 0)),
    constraint counts_are_not_negative check (
        least(task_count, batch_count, body_bytes, open_groups, completed, failed, cancelled) >= 0),
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
    attempt     smallint not null default 1,
    state       text,
    parameters  jsonb,
    token       uuid,
    result      jsonb,
    primary key (job_id, stage, task_index),
    constraint task_index_starts_at_1 check (task_index >= 1),
    constraint attempt_starts_at_1 check (attempt >= 1),
    constraint task_state_is_known check (state in (
        'processing', 'retry_wait', 'completed', 'failed', 'cancelled')),
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

-- Which task counts in which slot and group: stagebus.slot_of, stagebus.group_of. Slots have no
-- check constraint, since an update parses each from its stored form again, which would be a third
-- of what a completion spends on counting; the functions that count say in their `where` that no
-- count falls below zero, and raise where one would.
create table if not exists stagebus_data.counter_slots (
    job_id      uuid    not null,
    stage       integer not null,
    slot_no     integer not null,
    open_tasks  integer not null,
    completed   integer not null default 0,
    failed      integer not null default 0,
    cancelled   integer not null default 0,
    primary key (job_id, stage, slot_no)
) with (fillfactor = 50);

create table if not exists stagebus_data.counter_groups (
    job_id      uuid    not null,
    stage       integer not null,
    group_no    integer not null,
    open_slots  integer not null,
    completed   integer not null default 0,
    failed      integer not null default 0,
    cancelled   integer not null default 0,
    primary key (job_id, stage, group_no),
    constraint group_counts_are_not_negative
        check (least(open_slots, completed, failed, cancelled) >= 0)
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
