-- The second step for tasks that differ only by their number: {"index": i} is made when the
-- message is, and nothing of it is stored.
create or replace function stagebus.append_numbered_tasks(
    p_job_id uuid,
    p_stage integer,
    p_task_count bigint
) returns integer
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_stage    stagebus_data.stages := stagebus.lock_filling_stage(p_job_id, p_stage);
    v_first    integer := v_stage.task_count + 1;
    v_last     bigint := v_stage.task_count + least(p_task_count, 1000000000);
    v_job_type text := (select j.job_type from jobs as j where j.job_id = p_job_id);
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
    insert into tasks (job_id, stage, task_index)
    select p_job_id, p_stage, i
    from generate_series(v_first, v_last::integer) as i;

    -- {"index": i} has 11 bytes beside the number; with common parameters 10, joined by a comma.
    v_constant := stagebus.message_head_bytes(v_job_type, v_stage) + 1 + case
        when v_stage.parameters - 'index' = '{}' then 11
        else octet_length((v_stage.parameters - 'index')::text) + 11 end;
    perform stagebus.check_message_size(
        v_stage.destination, format('the message of task %s', v_last),
        v_constant + 3 * length(v_last::text));
    update stages as s set
        task_count = v_last,
        body_bytes = s.body_bytes + p_task_count * v_constant + 3 * (
            stagebus.digits_up_to(v_last) - stagebus.digits_up_to(v_first - 1))
    where s.job_id = p_job_id and s.stage = p_stage and s.state = 'filling';
    return v_last::integer;
end;
$$;
comment on function stagebus.append_numbered_tasks(uuid, integer, bigint) is
    'Adds tasks with the parameters {"index": i} to a filling stage and returns how many the '
    'stage now has. Locks the stage. Raises SB105, SB106, SB108, SB111.';
