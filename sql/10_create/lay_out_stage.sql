-- A filling stage is whole: its tasks are cut into batches, its counters are laid out, and from the
-- commit on bridges may claim it. Workers may start its tasks if p_state is open.
create or replace function stagebus.lay_out_stage(
    p_stage stagebus_data.stages,
    p_state text,
    p_confirm_by timestamptz
) returns integer
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_now     timestamptz := stagebus.clock();
    v_type    stagebus_data.task_types;
    v_turn    bigint;
    v_step    bigint;
    v_batches integer := 0;
    v_slots   integer := 0;
begin
    select t.* into v_type from task_types as t where t.task_type = p_stage.task_type;

    if p_stage.task_count > 0 then
        select d.turn, stagebus.turns_per_task(j.priority) into v_turn, v_step
        from jobs as j
        cross join destinations as d
        where j.job_id = p_stage.job_id and d.destination = p_stage.destination;
        perform stagebus.hint_bridges(p_stage.destination);
        insert into batches (
            job_id, batch_id, stage, destination, atomic, first_index, last_index, task_count,
            turn, ready_at, published_through, created_at)
        select
            p_stage.job_id, gen_random_uuid(), p_stage.stage, p_stage.destination, p_stage.atomic,
            cut.first_index, cut.last_index, cut.last_index - cut.first_index + 1,
            v_turn + cut.last_index * v_step, v_now, cut.first_index - 1, v_now
        from stagebus.cut_batches(p_stage, v_type) as cut
        order by cut.first_index;
        get diagnostics v_batches = row_count;

        -- As slot_of has it: the tasks up to `before` count in the slots below `first_slot`, the
        -- next, `tasks` of them at most, in blocks of 64 * lanes tasks and `lanes` slots. The last
        -- block of a stage holds what is left of it, in as many slots as it needs.
        insert into counter_slots (job_id, stage, slot_no, open_tasks)
        select p_stage.job_id, p_stage.stage, part.first_slot + nth,
            (least(64 * part.lanes, part.tasks - nth / part.lanes * part.lanes * 64)
                - nth % part.lanes + part.lanes - 1) / part.lanes
        from (
            select tier.first_slot, tier.lanes,
                least(p_stage.task_count - tier.before, tier.tasks) as tasks
            from (values (0, 0, 64, 4096), (4096, 64, 256, 16384), (20480, 320, 1024, 999999999))
                as tier (before, first_slot, lanes, tasks)
            where p_stage.task_count > tier.before
        ) as part
        cross join lateral generate_series(0, part.tasks / (part.lanes * 64) * part.lanes
            + least(part.tasks % (part.lanes * 64), part.lanes) - 1) as nth;
        get diagnostics v_slots = row_count;

        insert into counter_groups (job_id, stage, group_no, open_slots)
        select p_stage.job_id, p_stage.stage, group_no, least(64, v_slots - group_no * 64)
        from generate_series(0, (v_slots - 1) / 64) as group_no;
    end if;

    update stages as s set
        state = p_state,
        own_parameters = p_stage.own_parameters,
        largest_body = p_stage.largest_body,
        task_count = p_stage.task_count,
        body_bytes = p_stage.body_bytes,
        batch_count = v_batches,
        open_groups = (v_slots + 63) / 64,
        sealed_at = v_now,
        -- The time of a provisional stage's tasks begins with its confirmation.
        deadline = case p_state when 'open' then coalesce(
            s.deadline, v_now + nullif(v_type.stage_timeout, interval '0')) else s.deadline end,
        confirm_by = p_confirm_by
    where s.job_id = p_stage.job_id and s.stage = p_stage.stage and s.state = 'filling';

    return p_stage.task_count;
end;
$$;
comment on function stagebus.lay_out_stage(stagebus_data.stages, text, timestamptz) is
    'Makes a filling stage, whose row the caller has locked, open or provisional and returns how '
    'many tasks it has; one without tasks is the caller''s to end. Notifies stagebus_ready, unless '
    'batches of its destination wait already. Raises SB126.';
