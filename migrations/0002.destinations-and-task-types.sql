-- Where messages go, what kinds of work there are, which code is installed, and what time it is.
-- depends: 0001.roles
set local role stagebus_owner;

-- What is said of a single column is said by its type: a session parses that once, and a check
-- constraint of a table for every statement that writes to it.
do $$
begin
    create domain stagebus_data.counter as integer
        constraint counter_is_not_negative check (value >= 0);
    create domain stagebus_data.parameters as jsonb
        constraint parameters_are_an_object check (jsonb_typeof(value) = 'object');
    create domain stagebus_data.tolerated_failures as text
        constraint tolerated_failures_is_a_number_or_a_percentage check (
            value ~ '^([0-9]{1,9}|(100|[0-9]{1,2}(\.[0-9]{1,6})?)%)$');
    create domain stagebus_data.on_failure as text
        constraint on_failure_is_fail_job_or_wait check (value in ('fail_job', 'wait'));
exception when duplicate_object then
    raise notice 'the domains are there already';
end;
$$;

-- duplicate_window: for how long the broker drops a message whose id it has seen. old_repeats: what
-- becomes of a batch that may have been sent longer ago.
-- A paused destination whose probe_at is set was paused by a bridge, since the broker refuses it;
-- from then on one batch at a time is tried. probe_at null: somebody paused it, and must resume it.
create table if not exists stagebus_data.destinations (
    destination        text        not null primary key,
    entity_kind        text        not null default 'queue',
    entity             text        not null,
    max_send_bytes     integer     not null default 262144,
    max_send_messages  integer     not null default 4500,
    created_at         timestamptz not null default clock_timestamp(),
    paused_at          timestamptz,
    pause_reason       text,
    probe_at           timestamptz,
    duplicate_window   interval    not null default interval '10 minutes',
    old_repeats        text        not null default 'hold',
    throttled_until    timestamptz,
    constraint entity_is_a_queue_or_a_topic check (entity_kind in ('queue', 'topic')),
    constraint entity_is_named check (length(entity) between 1 and 260),
    constraint a_send_holds_at_least_one_small_message check (max_send_bytes >= 4096),
    constraint a_send_holds_at_least_one_message check (max_send_messages >= 1),
    constraint a_pause_has_a_reason check ((paused_at is null) = (pause_reason is null)),
    constraint duplicate_window_is_0_to_7_days
        check (duplicate_window between interval '0' and interval '7 days'),
    constraint old_repeats_is_hold_or_resend check (old_repeats in ('hold', 'resend')),
    constraint only_a_paused_destination_is_probed check (probe_at is null or paused_at is not null)
);

-- timeout: how long an attempt is its worker's without a heartbeat. start_timeout: a message that
-- nobody started for so long is published again; 0: never; 14 days: how long Service Bus keeps a
-- message unless told otherwise. retry_delay: before the second attempt,
-- doubled for each one more, up to max_retry_delay. atomic: each batch is exactly one send, which
-- the broker takes or refuses as a whole. The last five are what its stages begin with.
create table if not exists stagebus_data.task_types (
    task_type           text        not null primary key,
    destination         text        not null default 'tasks'
                        references stagebus_data.destinations (destination),
    boundary            text        not null default 'chunk',
    batch_size          integer     not null default 1000,
    timeout             interval    not null default interval '15 minutes',
    start_timeout       interval    not null default interval '14 days',
    max_attempts        integer     not null default 3,
    retry_delay         interval    not null default interval '5 seconds',
    max_retry_delay     interval    not null default interval '10 minutes',
    tolerated_failures  stagebus_data.tolerated_failures not null default '100%',
    stage_timeout       interval    not null default interval '0',
    on_failure          stagebus_data.on_failure not null default 'fail_job',
    job_messages        boolean     not null default false,
    atomic              boolean     not null default false,
    created_at          timestamptz not null default clock_timestamp(),
    constraint task_type_has_1_to_100_characters check (length(task_type) between 1 and 100),
    constraint boundary_is_known check (boundary in ('by_stage', 'chunk')),
    constraint batch_size_is_1_to_100000 check (batch_size between 1 and 100000),
    constraint timeout_is_1_second_to_7_days
        check (timeout between interval '1 second' and interval '7 days'),
    constraint start_timeout_is_0_or_10_seconds_to_365_days check (start_timeout = interval '0'
        or start_timeout between interval '10 seconds' and interval '365 days'),
    constraint max_attempts_is_1_to_1000 check (max_attempts between 1 and 1000),
    constraint retry_delay_is_0_to_max_retry_delay
        check (retry_delay between interval '0' and max_retry_delay),
    constraint max_retry_delay_is_at_most_7_days check (max_retry_delay <= interval '7 days'),
    constraint stage_timeout_is_0_or_1_second_to_365_days check (stage_timeout = interval '0'
        or stage_timeout between interval '1 second' and interval '365 days')
);

-- One row: the digest of sql/ that was replayed last, and the database's search_path: what was
-- found (null: none) and what was set instead, so that `uninstall` can restore it.
create table if not exists stagebus_data.installed_code (
    only_row           boolean     not null primary key default true,
    digest             text        not null,
    replayed_at        timestamptz not null default clock_timestamp(),
    search_path_found  text,
    search_path_set    text,
    constraint there_is_one_row check (only_row)
);

-- Empty, but in tests: the time that stagebus.clock() answers.
create table if not exists stagebus_data.test_clock (
    only_row  boolean     not null primary key default true,
    at        timestamptz not null,
    constraint there_is_one_row check (only_row)
);

insert into stagebus_data.destinations (destination, entity)
values ('tasks', 'tasks'), ('jobs', 'jobs')
on conflict do nothing;

insert into stagebus_data.task_types (task_type, batch_size)
values ('h3_hexagon', 10000), ('process_raster', 100)
on conflict do nothing;

reset role;
