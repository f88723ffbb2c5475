-- Batches, the unit of dispatch, and the ledger of what was sent of them.
-- depends: 0003.jobs-stages-tasks
set local role stagebus_owner;

do $$
begin
    create domain stagebus_data.batch_state as text
        constraint batch_state_is_known check (value in (
            'pending_queue', 'publishing', 'queued', 'held', 'failed', 'cancelled'));
    create domain stagebus_data.batch_kind as text
        constraint batch_kind_is_tasks_or_job check (value in ('tasks', 'job'));
exception when duplicate_object then
    raise notice 'the domains are there already';
end;
$$;

-- A batch covers the tasks first_index .. last_index, or, when scattered, those of them that
-- batch_members lists. published_through: all its tasks up to this index were accepted.
-- reported_at: when its bridge claimed it or last recorded a send. unanswered_since: sends of this
-- dispatch up to unanswered_through may have arrived, the first of them then.
-- start_due_at: when to look whether its messages were started; null: not queued, or all were.
-- A batch of kind job is one message of job_messages; its task_count, too, is 1.
-- An atomic batch goes out in exactly one send: it is published as a whole or not at all.
create table if not exists stagebus_data.batches (
    job_id             uuid        not null,
    batch_id           uuid        not null,
    stage              integer     not null,
    kind               stagebus_data.batch_kind not null default 'tasks',
    destination        text        not null references stagebus_data.destinations (destination),
    seq                bigint      not null generated always as identity,
    scattered          boolean     not null default false,
    atomic             boolean     not null default false,
    first_index        integer     not null,
    last_index         integer     not null,
    task_count         integer     not null,
    state              stagebus_data.batch_state not null default 'pending_queue',
    dispatch           integer     not null default 1,
    claim_epoch        integer     not null default 0,
    claimed_by         uuid,
    lease_until        timestamptz,
    ready_at           timestamptz not null,
    published_through  integer     not null,
    publish_attempts   integer     not null default 0,
    reported_at        timestamptz,
    unanswered_since   timestamptz,
    unanswered_through integer,
    send_count         integer     not null default 0,
    last_error         text,
    created_at         timestamptz not null,
    queued_at          timestamptz,
    start_due_at       timestamptz,
    primary key (job_id, batch_id),
    foreign key (job_id, stage) references stagebus_data.stages (job_id, stage) on delete cascade,
    constraint a_job_batch_is_scattered_and_has_one_message
        check (kind = 'tasks' or (scattered and task_count = 1)),
    constraint a_batch_is_leased_exactly_while_it_is_publishing check (
        (state = 'publishing') = (claimed_by is not null and lease_until is not null)),
    constraint a_batch_has_tasks check (task_count between 1 and last_index - first_index + 1),
    constraint a_range_batch_has_all_of_its_range
        check (scattered or task_count = last_index - first_index + 1),
    constraint published_through_lies_in_the_batch
        check (published_through between first_index - 1 and last_index),
    constraint an_atomic_batch_is_published_whole
        check (not atomic or published_through in (first_index - 1, last_index)),
    constraint a_queued_batch_is_published_through_its_last_task
        check (state <> 'queued' or (published_through = last_index and queued_at is not null)),
    constraint what_is_unanswered_has_a_time_and_an_end
        check ((unanswered_since is null) = (unanswered_through is null)),
    constraint only_a_queued_batch_is_due_to_be_started
        check (start_due_at is null or state = 'queued')
) with (fillfactor = 50);

-- Finds the range batch of a task.
create unique index if not exists batches_by_range
    on stagebus_data.batches (job_id, stage, first_index) where not scattered;

-- Says whether tasks of a stage were ever put into scattered batches.
create index if not exists batches_scattered
    on stagebus_data.batches (job_id, stage) where scattered and kind = 'tasks';

-- What can be claimed, oldest first.
create index if not exists batches_waiting
    on stagebus_data.batches (destination, seq) where state = 'pending_queue';

-- Whose lease may have run out. Not "where state = 'publishing'": whoever looks for a batch by its
-- key and that state would be led through it, past all leases that there were.
create index if not exists batches_leased
    on stagebus_data.batches (lease_until) where lease_until is not null;

-- Whose messages should have been started by now.
create index if not exists batches_by_start_due
    on stagebus_data.batches (start_due_at) where start_due_at is not null;

-- A task of a scattered batch belongs to one of them at a time.
create table if not exists stagebus_data.batch_members (
    job_id      uuid    not null,
    stage       integer not null,
    task_index  integer not null,
    batch_id    uuid    not null,
    primary key (job_id, stage, task_index)
);

create index if not exists batch_members_by_batch
    on stagebus_data.batch_members (job_id, batch_id, task_index);

-- What a controller is told: a stage or a job has ended. Published as a batch of kind job.
create table if not exists stagebus_data.job_messages (
    job_id      uuid        not null,
    batch_id    uuid        not null,
    event       text        not null,
    stage       integer,
    status      text        not null,
    created_at  timestamptz not null,
    primary key (job_id, batch_id),
    foreign key (job_id, batch_id)
        references stagebus_data.batches (job_id, batch_id) on delete cascade,
    constraint event_is_known check (event in ('stage_ended', 'job_ended')),
    constraint a_stage_event_names_its_stage check ((stage is not null) = (event = 'stage_ended'))
);

create table if not exists stagebus_data.sends (
    job_id       uuid        not null,
    batch_id     uuid        not null,
    send_no      integer     not null,
    dispatch     integer     not null,
    claim_epoch  integer     not null,
    claimed_by   uuid        not null,
    first_index  integer     not null,
    last_index   integer     not null,
    messages     integer,
    bytes        bigint,
    outcome      text        not null,
    error        text,
    duration     interval,
    recorded_at  timestamptz not null,
    primary key (job_id, batch_id, send_no),
    foreign key (job_id, batch_id)
        references stagebus_data.batches (job_id, batch_id) on delete cascade,
    constraint outcome_is_known check (outcome in ('accepted', 'rejected', 'unknown')),
    constraint an_accepted_send_has_its_numbers check (
        outcome <> 'accepted' or (messages is not null and bytes is not null and error is null)),
    constraint any_other_outcome_has_an_error check (outcome = 'accepted' or error is not null)
);

reset role;
