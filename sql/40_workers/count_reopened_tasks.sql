-- The counter tree, the other way round: tasks that had ended are open again. A row that had
-- nothing open takes its counts out of its parent, which it had put there when it closed.
create or replace function stagebus.count_reopened_tasks(
    p_job_id uuid,
    p_stage integer,
    p_task_indexes integer[],
    p_state text
) returns void
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_part   record;
    v_slot   stagebus_data.counter_slots;
    v_group  stagebus_data.counter_groups;
    v_slots  stagebus_data.counter_slots[] := array[]::stagebus_data.counter_slots[];
    v_groups stagebus_data.counter_groups[] := array[]::stagebus_data.counter_groups[];
begin
    for v_part in
        select stagebus.slot_of(e.task_index) as slot_no, count(*)::integer as tasks
        from unnest(p_task_indexes) as e (task_index)
        group by 1
        order by 1
    loop
        update counter_slots as s set
            open_tasks = s.open_tasks + v_part.tasks,
            failed = s.failed - case p_state when 'failed' then v_part.tasks else 0 end,
            cancelled = s.cancelled - case p_state when 'cancelled' then v_part.tasks else 0 end
        where s.job_id = p_job_id and s.stage = p_stage and s.slot_no = v_part.slot_no
            and v_part.tasks <= case p_state when 'failed' then s.failed else s.cancelled end
        returning s.* into strict v_slot;
        if v_slot.open_tasks = v_part.tasks then
            -- What its group knows of it is from before.
            v_slot.failed := v_slot.failed
                + case p_state when 'failed' then v_part.tasks else 0 end;
            v_slot.cancelled := v_slot.cancelled
                + case p_state when 'cancelled' then v_part.tasks else 0 end;
            v_slots := v_slots || v_slot;
        end if;
    end loop;

    for v_part in
        select stagebus.group_of(s.slot_no) as group_no, count(*)::integer as slots,
            sum(s.completed)::integer as completed, sum(s.failed)::integer as failed,
            sum(s.cancelled)::integer as cancelled
        from unnest(v_slots) as s
        group by 1
        order by 1
    loop
        update counter_groups as g set
            open_slots = g.open_slots + v_part.slots,
            completed = g.completed - v_part.completed,
            failed = g.failed - v_part.failed,
            cancelled = g.cancelled - v_part.cancelled
        where g.job_id = p_job_id and g.stage = p_stage and g.group_no = v_part.group_no
        returning g.* into strict v_group;
        if v_group.open_slots = v_part.slots then
            v_group.completed := v_group.completed + v_part.completed;
            v_group.failed := v_group.failed + v_part.failed;
            v_group.cancelled := v_group.cancelled + v_part.cancelled;
            v_groups := v_groups || v_group;
        end if;
    end loop;

    if cardinality(v_groups) > 0 then
        select count(*)::integer as groups, sum(g.completed)::integer as completed,
            sum(g.failed)::integer as failed, sum(g.cancelled)::integer as cancelled
        into v_part
        from unnest(v_groups) as g;
        update stages as s set
            open_groups = s.open_groups + v_part.groups,
            completed = s.completed - v_part.completed,
            failed = s.failed - v_part.failed,
            cancelled = s.cancelled - v_part.cancelled
        where s.job_id = p_job_id and s.stage = p_stage;
        perform stagebus.reopen_stage(p_job_id, p_stage);
    end if;
end;
$$;
comment on function stagebus.count_reopened_tasks(uuid, integer, integer[], text) is
    'Takes tasks of one stage that had ended in p_state out of its counts; the caller has written '
    'their new state on their rows. Reopens a stage that had ended. Locks slots, groups, the '
    'stage, the job.';
