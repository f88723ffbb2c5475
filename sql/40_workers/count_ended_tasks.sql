-- The counter tree. A row that reaches zero open takes one from its parent, in the same
-- transaction, once; so exactly one transaction sees the stage reach zero. All slots are locked
-- before any group, all groups before any stage, each kind in key order.
create or replace function stagebus.count_ended_tasks(
    p_job_ids uuid[],
    p_stages integer[],
    p_task_indexes integer[],
    p_state text
) returns void
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_part    record;
    v_slot_no integer;
    v_tasks   integer[];
    v_ctids   tid[];
    v_counted integer;
    v_group   stagebus_data.counter_groups;
    v_stage   stagebus_data.stages;
    v_slots   stagebus_data.counter_slots[] := array[]::stagebus_data.counter_slots[];
    v_groups  stagebus_data.counter_groups[] := array[]::stagebus_data.counter_groups[];
begin
    -- A stage in one go, or of a very large one 16,384 slots: a million tasks.
    for v_part in
        select e.job_id, e.stage, min(e.slot_no) as first_slot, max(e.slot_no) as last_slot,
            array_agg(e.slot_no) as slot_nos,
            array_agg(distinct e.slot_no order by e.slot_no) as locked_slots
        from (
            select t.job_id, t.stage, stagebus.slot_of(t.task_index) as slot_no
            from unnest(p_job_ids, p_stages, p_task_indexes) as t (job_id, stage, task_index)
        ) as e
        group by e.job_id, e.stage, e.slot_no / 16384
        order by e.job_id, e.stage, e.slot_no / 16384
    loop
        v_tasks := array_fill(
            0, array[v_part.last_slot - v_part.first_slot + 1], array[v_part.first_slot]);
        foreach v_slot_no in array v_part.slot_nos loop
            v_tasks[v_slot_no] := v_tasks[v_slot_no] + 1;
        end loop;
        -- Each is looked up by all of its key, and updated where it then is: a join, or a list of
        -- slots as a condition, reads all of a large stage's before the table is analysed.
        select array_agg(l.ctid) into v_ctids
        from unnest(v_part.locked_slots) as k (slot_no)
        cross join lateral (
            select s.ctid
            from counter_slots as s
            where s.job_id = v_part.job_id and s.stage = v_part.stage and s.slot_no = k.slot_no
            for no key update
        ) as l;
        with counted as (
            update counter_slots as s set
                open_tasks = s.open_tasks - v_tasks[s.slot_no],
                completed = s.completed
                    + case p_state when 'completed' then v_tasks[s.slot_no] else 0 end,
                failed = s.failed
                    + case p_state when 'failed' then v_tasks[s.slot_no] else 0 end,
                cancelled = s.cancelled
                    + case p_state when 'cancelled' then v_tasks[s.slot_no] else 0 end
            where s.ctid = any (v_ctids) and s.open_tasks >= v_tasks[s.slot_no]
            returning s.*
        )
        select sum(v_tasks[c.slot_no])::integer,
            v_slots || coalesce(array_agg(c::counter_slots) filter (where c.open_tasks = 0), '{}')
        into v_counted, v_slots
        from counted as c;
        if v_counted is distinct from cardinality(v_part.slot_nos) then
            perform stagebus.raise_error(
                'SB124', format('the counters of stage %s of job %s are wrong',
                    v_part.stage, v_part.job_id),
                format('Its slots %s to %s are to count %s tasks that they do not have.',
                    v_part.first_slot, v_part.last_slot,
                    cardinality(v_part.slot_nos) - coalesce(v_counted, 0)),
                'This is a defect of stagebus; recount_stage shows what else is wrong.');
        end if;
    end loop;

    for v_part in
        select s.job_id, s.stage, stagebus.group_of(s.slot_no) as group_no,
            count(*)::integer as slots, sum(s.completed)::integer as completed,
            sum(s.failed)::integer as failed, sum(s.cancelled)::integer as cancelled
        from unnest(v_slots) as s
        group by 1, 2, 3
        order by 1, 2, 3
    loop
        update counter_groups as g set
            open_slots = g.open_slots - v_part.slots,
            completed = g.completed + v_part.completed,
            failed = g.failed + v_part.failed,
            cancelled = g.cancelled + v_part.cancelled
        where g.job_id = v_part.job_id and g.stage = v_part.stage and g.group_no = v_part.group_no
        returning g.* into strict v_group;
        if v_group.open_slots = 0 then
            v_groups := v_groups || v_group;
        end if;
    end loop;

    for v_part in
        select g.job_id, g.stage,
            count(*)::integer as groups, sum(g.completed)::integer as completed,
            sum(g.failed)::integer as failed, sum(g.cancelled)::integer as cancelled
        from unnest(v_groups) as g
        group by 1, 2
        order by 1, 2
    loop
        update stages as s set
            open_groups = s.open_groups - v_part.groups,
            completed = s.completed + v_part.completed,
            failed = s.failed + v_part.failed,
            cancelled = s.cancelled + v_part.cancelled
        where s.job_id = v_part.job_id and s.stage = v_part.stage and s.state = 'open'
        returning s.* into strict v_stage;
        if v_stage.open_groups = 0 then
            perform stagebus.end_stage(v_part.job_id, v_part.stage);
        end if;
    end loop;
end;
$$;
comment on function stagebus.count_ended_tasks(uuid[], integer[], integer[], text) is
    'Counts tasks that have just ended in p_state; the caller has written that on their rows. '
    'Ends the stages that have no open task left. Locks slots, groups, stages, jobs. Raises SB124, '
    'never seen, rather than count below zero.';
