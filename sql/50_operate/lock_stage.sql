-- What every order about a stage begins with.
create or replace function stagebus.lock_stage(
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
    for no key update;
    if not found then
        perform stagebus.raise_error(
            'SB105', format('stage %s of job %s does not exist',
                coalesce(p_stage::text, 'null'), coalesce(p_job_id::text, 'null')),
            'A stage is named by its job and its number.', 'Look it up in the view stages.');
    end if;
    return v_stage;
end;
$$;
comment on function stagebus.lock_stage(uuid, integer) is
    'Locks and returns the row of a stage. Raises SB105.';
