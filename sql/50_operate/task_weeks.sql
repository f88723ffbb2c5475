-- The partitions of tasks, each with the ids that its jobs can have.
create or replace function stagebus.task_weeks()
returns table (
    partition text,
    relation regclass,
    from_time timestamptz,
    to_time timestamptz,
    first_job_id uuid,
    next_job_id uuid
)
language sql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
    select
        c.relname::text, c.oid::regclass, w.monday, w.monday + interval '168 hours',
        stagebus.first_job_id_at(w.monday),
        stagebus.first_job_id_at(w.monday + interval '168 hours')
    from pg_inherits as i
    join pg_class as c on c.oid = i.inhrelid
    cross join lateral (
        select to_date(right(c.relname, 8), 'YYYYMMDD')::timestamp at time zone 'UTC'
    ) as w (monday)
    where i.inhparent = 'stagebus_data.tasks'::regclass;
$$;
comment on function stagebus.task_weeks() is
    'The partitions of tasks: their week, and the ids from the first up to the next one''s first.';
