-- Why a job does not get its next stage: its plan fails, its controller is silent, an order works.
create or replace function stagebus.causes_in_advancing(p_job_id uuid)
returns table (cause text, stage integer, evidence text, fix text)
language sql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
    with moment as materialized (select stagebus.clock() as now),
    due as (
        select d.planned, max(d.stage) as stage, min(d.due_since) as due_since
        from stagebus_data.due_advances as d
        where d.job_id = p_job_id
        group by d.planned
    )
    select 'failing plan', null::integer,
        format('%s; it failed %s times, next try at %s: %s', a.why, a.failures, a.next_try_at,
            a.error),
        format('select * from stagebus.advance_job(%L);  -- once the plan''s function is mended',
            p_job_id)
    from stagebus_data.job_advances as a
    join stagebus_data.jobs as j on j.job_id = a.job_id
    where a.job_id = p_job_id and a.failures > 0 and j.ended_at is null
    union all
    select 'nobody advances it', null,
        format('its next stages are due since %s', d.due_since),
        format('select * from stagebus.advance_job(%L);', p_job_id)
    from due as d
    cross join moment as m
    where d.planned and d.due_since < m.now - interval '10 seconds'
        and not exists (
            select from stagebus_data.job_advances as a
            where a.job_id = p_job_id and a.failures > 0)
    union all
    select 'waits for its controller', d.stage,
        format('stage %s has ended, and since %s nobody made another or finished the job',
            d.stage, d.due_since),
        format('select stagebus.finish_job(%L);  -- or stage %s: create_stage_tasks(…)',
            p_job_id, d.stage + 1)
    from due as d
    where not d.planned
    union all
    select 'waits for its controller', null,
        format('it was created at %s by %s, and has no stage', j.created_at, j.created_by),
        format('select * from stagebus.create_stage_tasks(%L, 1, ''TASK TYPE'', 1);  -- or '
            'cancel_job(…)', p_job_id)
    from stagebus_data.jobs as j
    where j.job_id = p_job_id and j.ended_at is null and j.plan_version is null
        and not exists (select from stagebus_data.stages as s where s.job_id = p_job_id)
    union all
    select 'order at work', o.stage,
        format('%s, ordered by %s at %s, has done %s of %s tasks%s', o.action, o.ordered_by,
            o.ordered_at, o.tasks_done, o.tasks, coalesce('; its last step failed: '
            || o.last_error, '')),
        format('select * from stagebus.work_order(%s);  -- a step; bridges do the same', o.order_id)
    from stagebus_data.orders as o
    where o.job_id = p_job_id and o.state = 'working';
$$;
comment on function stagebus.causes_in_advancing(uuid) is
    'The part of why_stuck about the next stage: plans, controllers, orders.';
