-- A whole stage in one call: one task for each object of an array.
create or replace function stagebus.create_stage_tasks_from_array(
    p_job_id uuid,
    p_stage integer,
    p_task_type text,
    p_tasks jsonb[],
    parameters jsonb default '{}',
    seal boolean default true,
    if_exists text default 'error',
    task_key text default null,
    on_conflict text default 'error'
) returns stagebus.stage_summary
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    if p_tasks is null then
        perform stagebus.raise_error(
            'SB110', 'the array of tasks is null', 'It holds one JSON object per task.',
            'Pass an array; an empty one makes a stage that completes at once.');
    end if;
    if stagebus.begin_stage(
        p_job_id, p_stage, p_task_type, create_stage_tasks_from_array.parameters, if_exists)
    then
        perform stagebus.append_tasks(
            p_job_id, p_stage, p_tasks, create_stage_tasks_from_array.task_key, on_conflict);
        if coalesce(seal, true) then
            return stagebus.seal_stage(p_job_id, p_stage);
        end if;
    end if;
    return stagebus.summarise_stage(p_job_id, p_stage);
end;
$$;
comment on function stagebus.create_stage_tasks_from_array(
    uuid, integer, text, jsonb[], jsonb, boolean, text, text, text) is
    'Creates a stage with one task per object; the task''s own keys win over the common '
    'parameters. An empty array makes a stage that completes at once. '
    'task_key and on_conflict as for append_tasks. '
    'Returns the stage''s summary. '
    'Raises SB101 to SB111, SB114, SB116, SB118, SB122, SB126, SB127.';
