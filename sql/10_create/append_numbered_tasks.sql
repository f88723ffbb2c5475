-- The second step for tasks that differ only by their number.
create or replace function stagebus.append_numbered_tasks(
    p_job_id uuid,
    p_stage integer,
    p_task_count bigint
) returns integer
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    return stagebus.keep_counts(stagebus.number_tasks(
        stagebus.lock_filling_stage(p_job_id, p_stage), p_task_count));
end;
$$;
comment on function stagebus.append_numbered_tasks(uuid, integer, bigint) is
    'Adds tasks with the parameters {"index": i} to a filling stage and returns how many the '
    'stage now has. Locks the stage. Raises SB105, SB106, SB108, SB111, SB127.';
