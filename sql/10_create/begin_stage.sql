-- How the one-call forms begin: open the stage, go on filling it, or find that it is there.
create or replace function stagebus.begin_stage(
    p_job_id uuid,
    p_stage integer,
    p_task_type text,
    p_parameters jsonb,
    p_if_exists text
) returns boolean
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_found record;
begin
    if p_if_exists is null or p_if_exists not in ('error', 'skip') then
        perform stagebus.raise_error(
            'SB114', format('if_exists => %s is not known',
                coalesce(quote_literal(p_if_exists), 'null')),
            'It says what happens when the stage is there and sealed.',
            'Use ''error'' (the default) or ''skip''.');
    end if;
    loop
        select s.state, s.task_type, s.parameters into v_found
        from stages as s
        where s.job_id = p_job_id and s.stage = p_stage
            and s.ending is distinct from 'withdraw'
        for update;
        exit when found;
        begin
            perform stagebus.open_stage(p_job_id, p_stage, p_task_type, p_parameters);
            return true;
        exception when sqlstate 'SB104' then
            -- Another session opened it between the look and the job's lock: look again.
            null;
        end;
    end loop;
    if v_found.state <> 'filling' then
        if p_if_exists = 'skip' then
            return false;
        end if;
        perform stagebus.lock_filling_stage(p_job_id, p_stage);
    end if;
    if v_found.task_type is distinct from p_task_type
        or v_found.parameters is distinct from p_parameters
    then
        perform stagebus.raise_error(
            'SB104', format('stage %s of job %s was opened differently', p_stage, p_job_id),
            format('Its task type is %s, its common parameters are %s.',
                quote_literal(v_found.task_type), left(v_found.parameters::text, 200)),
            'Fill a stage with one task type and the same common parameters in each call.');
    end if;
    return true;
end;
$$;
comment on function stagebus.begin_stage(uuid, integer, text, jsonb, text) is
    'True when the stage now takes tasks; false when it is sealed and p_if_exists is skip. '
    'Raises SB104, SB106, SB114 and what open_stage raises.';
