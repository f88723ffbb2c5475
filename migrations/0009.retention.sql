-- How long ended jobs are kept, which of them are archived, and the weeks that were removed.
-- depends: 0008.dead-letters

set local role stagebus_owner;

-- One row. keep null: nothing is ever removed. The jobs from hidden_from up to hidden_until are
-- being removed: no view shows them, and nothing can be ordered for them; equal: there are none.
create table if not exists stagebus_data.retention (
    only_row       boolean     not null primary key default true,
    keep           interval,
    archive_first  boolean     not null default false,
    set_by         text        not null default session_user,
    set_at         timestamptz not null default clock_timestamp(),
    next_look_at   timestamptz not null default '-infinity',
    hidden_from    uuid        not null default '00000000-0000-0000-0000-000000000000',
    hidden_until   uuid        not null default '00000000-0000-0000-0000-000000000000',
    constraint there_is_one_row check (only_row),
    constraint keep_is_7_to_36500_days
        check (keep between interval '7 days' and interval '36500 days')
);

-- A week whose jobs are removed, at most one at a time, or (ended_at) were. table_reached,
-- job_reached: the rows up to there are gone. tries: how often its next step had to wait for a
-- lock, and why.
create table if not exists stagebus_data.removals (
    partition      text        not null primary key,
    first_job_id   uuid        not null,
    next_job_id    uuid        not null,
    begun_at       timestamptz not null,
    ended_at       timestamptz,
    rows_removed   bigint      not null default 0,
    rows_are_gone  boolean     not null default false,
    table_reached  text,
    job_reached    uuid,
    next_step_at   timestamptz not null,
    tries          integer     not null default 0,
    last_error     text,
    constraint a_week_has_an_end check (first_job_id < next_job_id),
    constraint rows_go_before_their_partition check (ended_at is null or rows_are_gone)
);

create unique index if not exists one_week_is_removed_at_a_time
    on stagebus_data.removals ((ended_at is null)) where ended_at is null;

-- last_end: when the job or a stage of it last ended, as the archive has it. One that ended again
-- since then has to be archived again.
create table if not exists stagebus_data.archived_jobs (
    job_id       uuid        not null primary key,
    last_end     timestamptz not null,
    archived_at  timestamptz not null,
    archived_by  text        not null default session_user
);

insert into stagebus_data.retention (only_row) values (true) on conflict do nothing;

reset role;
