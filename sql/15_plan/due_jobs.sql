-- The jobs that advance_job is due for, for whoever calls it: each in a transaction of its own that
-- lasts no longer than its plan allows.
create or replace function stagebus.due_jobs(
    p_limit integer default 100,
    except_types text[] default '{}'
) returns table (job_id uuid, job_type text, timeout interval, calls_functions boolean)
language sql
stable
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
    select due.job_id, due.job_type, p.timeout,
        exists (
            select
            from plan_stages as ps
            where ps.job_type = due.job_type and ps.version = due.plan_version
                and ps.task_function is not null)
    from (
        select j.job_id, j.job_type, j.plan_version
        from due_advances as d
        join job_advances as a on a.job_id = d.job_id
        join jobs as j on j.job_id = d.job_id
        where d.planned and a.next_try_at <= stagebus.clock()
            and j.job_type <> all (coalesce(except_types, '{}'))
            -- Each job once: one of which many stages have ended hides no other.
            and not exists (
                select
                from due_advances as o
                where o.job_id = d.job_id and o.planned
                    and (o.due_since, o.stage) < (d.due_since, d.stage))
        order by d.due_since
        limit least(greatest(coalesce(p_limit, 100), 1), 10000)
    ) as due
    join plans as p on p.job_type = due.job_type and p.version = due.plan_version;
$$;
comment on function stagebus.due_jobs(integer, text[]) is
    'Up to p_limit (1 to 10,000) of the jobs with a plan that are due longest, but those of '
    'except_types, how long advancing each may take, and whether its plan has functions.';
