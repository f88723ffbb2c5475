-- The second part of repair_job: the counter tree of a stage as its rows have it, from the slots
-- up. Slots are changed where they are, since who counts a task may be waiting for one.
create or replace function stagebus.repair_counters(
    p_job_id uuid,
    p_stage integer
) returns void
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    with found as materialized (
        select stagebus.slot_of(t.task_index) as slot_no,
            count(*) filter (where t.state is null or t.state in ('processing', 'retry_wait'))
                as open_tasks,
            count(*) filter (where t.state = 'completed') as completed,
            count(*) filter (where t.state = 'failed') as failed,
            count(*) filter (where t.state = 'cancelled') as cancelled
        from tasks as t
        where t.job_id = p_job_id and t.stage = p_stage
        group by 1
    ),
    without_tasks as (
        delete from counter_slots as c
        where c.job_id = p_job_id and c.stage = p_stage
            and not exists (select from found as f where f.slot_no = c.slot_no)
    )
    insert into counter_slots as c (
        job_id, stage, slot_no, open_tasks, completed, failed, cancelled)
    select p_job_id, p_stage, f.slot_no, f.open_tasks, f.completed, f.failed, f.cancelled
    from found as f
    order by f.slot_no
    on conflict on constraint counter_slots_pkey do update set
        open_tasks = excluded.open_tasks,
        completed = excluded.completed,
        failed = excluded.failed,
        cancelled = excluded.cancelled
    where (c.open_tasks, c.completed, c.failed, c.cancelled)
        is distinct from (
            excluded.open_tasks, excluded.completed, excluded.failed, excluded.cancelled);

    -- A row has its parts in its counts once none of them is open any more.
    delete from counter_groups as g
    where g.job_id = p_job_id and g.stage = p_stage and not exists (
        select from counter_slots as c
        where c.job_id = p_job_id and c.stage = p_stage
            and stagebus.group_of(c.slot_no) = g.group_no);
    insert into counter_groups as g (
        job_id, stage, group_no, open_slots, completed, failed, cancelled)
    select p_job_id, p_stage, stagebus.group_of(c.slot_no),
        count(*) filter (where c.open_tasks > 0),
        coalesce(sum(c.completed) filter (where c.open_tasks = 0), 0),
        coalesce(sum(c.failed) filter (where c.open_tasks = 0), 0),
        coalesce(sum(c.cancelled) filter (where c.open_tasks = 0), 0)
    from counter_slots as c
    where c.job_id = p_job_id and c.stage = p_stage
    group by stagebus.group_of(c.slot_no)
    order by stagebus.group_of(c.slot_no)
    on conflict on constraint counter_groups_pkey do update set
        open_slots = excluded.open_slots,
        completed = excluded.completed,
        failed = excluded.failed,
        cancelled = excluded.cancelled;

    update stages as s set
        task_count = f.tasks,
        open_groups = g.open_groups,
        completed = g.completed,
        failed = g.failed,
        cancelled = g.cancelled
    from (
        select count(*) as tasks
        from tasks as t
        where t.job_id = p_job_id and t.stage = p_stage
    ) as f
    cross join (
        select count(*) filter (where g.open_slots > 0) as open_groups,
            coalesce(sum(g.completed) filter (where g.open_slots = 0), 0) as completed,
            coalesce(sum(g.failed) filter (where g.open_slots = 0), 0) as failed,
            coalesce(sum(g.cancelled) filter (where g.open_slots = 0), 0) as cancelled
        from counter_groups as g
        where g.job_id = p_job_id and g.stage = p_stage
    ) as g
    where s.job_id = p_job_id and s.stage = p_stage;
end;
$$;
comment on function stagebus.repair_counters(uuid, integer) is
    'Counts the tasks of the stage anew, whose slots, groups and row the caller has locked, so '
    'that nobody counts meanwhile. Reads all its tasks.';
