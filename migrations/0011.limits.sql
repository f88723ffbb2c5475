-- Limits that protect from accidents, set by an operator; and what limits the pages that a bridge
-- reads.
-- depends: 0010.fairness
set local role stagebus_owner;

-- role public, which no role can be called: for all that have no row of their own.
-- job_parameter_bytes, stage_parameter_bytes: as text. stage_tasks: tasks of one stage.
-- jobs_in_flight: jobs of one role that have not ended.
create table if not exists stagebus_data.limits (
    what    text        not null,
    role    text        not null,
    value   integer     not null,
    set_by  text        not null default session_user,
    set_at  timestamptz not null default clock_timestamp(),
    primary key (what, role),
    constraint limit_is_known check (what in (
        'job_parameter_bytes', 'stage_parameter_bytes', 'stage_tasks', 'jobs_in_flight')),
    constraint limit_is_0_to_999999999 check (value between 0 and 999999999)
);

-- Far above what work needs, and far below what a slip of the hand asks for.
insert into stagebus_data.limits (what, role, value)
values
    ('job_parameter_bytes', 'public', 1048576),
    ('stage_parameter_bytes', 'public', 1048576),
    ('stage_tasks', 'public', 100000000)
on conflict do nothing;

-- Bytes of the largest body among tasks with parameters of their own; null: there are none, or the
-- stage was made before.
alter table stagebus_data.stages
    add column if not exists largest_body integer;

-- The jobs of a role that have not ended. Not by their state, so that a job that begins is updated
-- in place.
-- squawk-ignore require-concurrent-index-creation
create index if not exists jobs_in_flight
    on stagebus_data.jobs (created_by) where ended_at is null;

reset role;
