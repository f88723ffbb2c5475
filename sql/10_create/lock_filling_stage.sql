-- What append and seal begin with: the stage, locked, and still filling.
create or replace function stagebus.lock_filling_stage(
    p_job_id uuid,
    p_stage integer
) returns stagebus_data.stages
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_stage stagebus_data.stages;
begin
    select s.* into v_stage
    from stages as s
    where s.job_id = p_job_id and s.stage = p_stage
    for update;
    if not found then
        perform stagebus.raise_error(
            'SB105', format('stage %s of job %s does not exist',
                coalesce(p_stage::text, 'null'), coalesce(p_job_id::text, 'null')),
            'A stage is opened before it is filled.',
            'Open it with open_stage, or fill it in one call with create_stage_tasks.');
    end if;
    if v_stage.state <> 'filling' then
        perform stagebus.raise_error(
            'SB106', format('stage %s of job %s is sealed', p_stage, p_job_id),
            format('It is %s; only a filling stage takes tasks.', v_stage.state),
            'Put further tasks into the next stage.');
    end if;
    return v_stage;
end;
$$;
comment on function stagebus.lock_filling_stage(uuid, integer) is
    'Locks and returns the row of a filling stage. Raises SB105, SB106.';
