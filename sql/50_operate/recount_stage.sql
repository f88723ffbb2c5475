-- The check that nothing decides by: what the counters say beside what the rows say.
create or replace function stagebus.recount_stage(
    p_job_id uuid,
    p_stage integer
) returns table (what text, counted bigint, found bigint)
language sql
stable
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
    with stage as (
        select s.*
        from stagebus_data.stages as s
        where s.job_id = p_job_id and s.stage = p_stage and s.state <> 'filling'
    ),
    slot as (
        select c.*, stagebus.group_of(c.slot_no) as group_no
        from stagebus_data.counter_slots as c
        where c.job_id = p_job_id and c.stage = p_stage
    ),
    rows_of_slot as (
        select
            stagebus.slot_of(t.task_index) as slot_no,
            count(*) filter (where t.state = 'completed') as completed,
            count(*) filter (where t.state = 'failed') as failed,
            count(*) filter (where t.state = 'cancelled') as cancelled,
            count(*) filter (
                where t.state is null or t.state in ('processing', 'retry_wait')) as open_tasks,
            count(*) filter (where t.state = 'processing') as processing,
            count(*) filter (where t.state = 'retry_wait') as retry_wait
        from stagebus_data.tasks as t
        where t.job_id = p_job_id and t.stage = p_stage
        group by 1
    ),
    slots_of_group as (
        select s.group_no,
            count(*) filter (where s.open_tasks > 0) as open_slots,
            sum(s.completed) filter (where s.open_tasks = 0) as completed,
            sum(s.failed) filter (where s.open_tasks = 0) as failed,
            sum(s.cancelled) filter (where s.open_tasks = 0) as cancelled
        from slot as s
        group by s.group_no
    ),
    compared as (
        select format('slot %s: %s', s.slot_no, v.name) as what, v.counted, v.found
        from slot as s
        full join rows_of_slot as r on r.slot_no = s.slot_no
        cross join lateral (values
            ('open', s.open_tasks::bigint, r.open_tasks),
            ('completed', s.completed, r.completed),
            ('failed', s.failed, r.failed),
            ('cancelled', s.cancelled, r.cancelled)) as v (name, counted, found)
        where exists (select from stage)
        union all
        select format('group %s: %s', g.group_no, v.name), v.counted, v.found
        from stagebus_data.counter_groups as g
        left join slots_of_group as f on f.group_no = g.group_no
        cross join lateral (values
            ('open slots', g.open_slots::bigint, coalesce(f.open_slots, 0)),
            ('completed', g.completed, coalesce(f.completed, 0)),
            ('failed', g.failed, coalesce(f.failed, 0)),
            ('cancelled', g.cancelled, coalesce(f.cancelled, 0))) as v (name, counted, found)
        where g.job_id = p_job_id and g.stage = p_stage
        union all
        select 'stage: ' || v.name, v.counted, v.found
        from stage as st
        cross join lateral (
            select
                count(*) filter (where g.open_slots > 0) as open_groups,
                coalesce(sum(g.completed) filter (where g.open_slots = 0), 0) as completed,
                coalesce(sum(g.failed) filter (where g.open_slots = 0), 0) as failed,
                coalesce(sum(g.cancelled) filter (where g.open_slots = 0), 0) as cancelled
            from stagebus_data.counter_groups as g
            where g.job_id = p_job_id and g.stage = p_stage
        ) as f
        cross join lateral (
            select coalesce(sum(r.processing), 0) as processing,
                coalesce(sum(r.retry_wait), 0) as retry_wait,
                coalesce(sum(r.open_tasks + r.completed + r.failed + r.cancelled), 0) as tasks
            from rows_of_slot as r
        ) as t
        cross join lateral (values
            ('open groups', st.open_groups::bigint, f.open_groups),
            ('completed', st.completed, f.completed),
            ('failed', st.failed, f.failed),
            ('cancelled', st.cancelled, f.cancelled),
            ('tasks', st.task_count, t.tasks),
            ('running attempts', (
                select count(*)
                from stagebus_data.running_attempts as a
                where a.job_id = p_job_id and a.stage = p_stage), t.processing),
            ('waiting retries', (
                select count(*)
                from stagebus_data.waiting_retries as w
                where w.job_id = p_job_id and w.stage = p_stage), t.retry_wait)
        ) as v (name, counted, found)
    )
    select c.what, c.counted, c.found
    from compared as c
    where c.counted is distinct from c.found
        -- Of one that is being withdrawn, parts are gone already.
        and not exists (select from stage as st where st.ending = 'withdraw');
$$;
comment on function stagebus.recount_stage(uuid, integer) is
    'A row for each number of a sealed stage that its rows do not bear out; none is as it should '
    'be. Reads all tasks of the stage in one snapshot, so that it may run at any time.';
