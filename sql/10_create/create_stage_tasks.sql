-- A whole stage in one call: so many tasks of a type, numbered from 1.
create or replace function stagebus.create_stage_tasks(
    p_job_id uuid,
    p_stage integer,
    p_task_type text,
    p_task_count bigint,
    parameters jsonb default '{}',
    seal boolean default true,
    if_exists text default 'error'
) returns stagebus.stage_summary
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_stage stagebus_data.stages;
begin
    if stagebus.begin_stage(
        p_job_id, p_stage, p_task_type, create_stage_tasks.parameters, if_exists)
    then
        v_stage := stagebus.number_tasks(
            stagebus.lock_filling_stage(p_job_id, p_stage), p_task_count);
        if coalesce(seal, true) then
            return stagebus.open_for_work(v_stage);
        end if;
        perform stagebus.keep_counts(v_stage);
    end if;
    return stagebus.summarise_stage(p_job_id, p_stage);
end;
$$;
comment on function stagebus.create_stage_tasks(
    uuid, integer, text, bigint, jsonb, boolean, text) is
    'Creates a stage of p_task_count tasks; each has the common parameters and {"index": i}. '
    'seal => false leaves it filling, for further calls. Returns the stage''s summary. '
    'Raises SB101 to SB109, SB111, SB114, SB118, SB126, SB127.';
