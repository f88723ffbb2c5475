-- Tasks that differ only by their number: {"index": i} is made when the message is, and nothing of
-- it is stored.
create or replace function stagebus.number_tasks(
    p_stage stagebus_data.stages,
    p_task_count bigint
) returns stagebus_data.stages
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_stage    stagebus_data.stages := p_stage;
    v_first    integer := v_stage.task_count + 1;
    v_last     bigint := v_stage.task_count + least(p_task_count, 1000000000);
    v_job_type text := (select j.job_type from jobs as j where j.job_id = p_stage.job_id);
    v_constant integer;
begin
    if p_task_count is null or p_task_count < 1 or v_last > 999999999 then
        perform stagebus.raise_error(
            'SB108', format('a task count of %s is out of range',
                coalesce(p_task_count::text, 'null')),
            format('Each call adds at least 1 task; a stage has at most 999,999,999, and this one '
                'has %s.', v_stage.task_count),
            'Pass a count from 1 on; for a stage that may be empty use '
            'create_stage_tasks_from_array or _from_query.');
    end if;
    perform stagebus.check_stage_tasks(p_stage, v_last);
    insert into tasks (job_id, stage, task_index)
    select p_stage.job_id, p_stage.stage, i
    from generate_series(v_first, v_last::integer) as i;

    v_constant := stagebus.message_head_bytes(v_job_type, v_stage) + 1
        + stagebus.numbered_bytes(v_stage.parameters);
    perform stagebus.check_message_size(
        v_stage.destination, format('the message of task %s', v_last),
        v_constant + 3 * length(v_last::text));
    v_stage.task_count := v_last;
    v_stage.body_bytes := p_stage.body_bytes + p_task_count * v_constant
        + 3 * (stagebus.digits_up_to(v_last) - stagebus.digits_up_to(v_first - 1));
    return v_stage;
end;
$$;
comment on function stagebus.number_tasks(stagebus_data.stages, bigint) is
    'Adds tasks with the parameters {"index": i} to a filling stage, whose row the caller has '
    'locked, and returns it with them in its counts; keep_counts or lay_out_stage writes it. '
    'Raises SB108, SB111, SB127.';
