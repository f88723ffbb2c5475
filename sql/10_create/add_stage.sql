-- The row of a new stage, with what its task type gives it, and a nonce of its own.
create or replace function stagebus.add_stage(
    p_job_id uuid,
    p_stage integer,
    p_task_type text,
    p_parameters jsonb,
    p_name text default null,
    p_group_value text default null,
    p_tolerated_failures text default null,
    p_on_failure text default null
) returns stagebus_data.stages
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_stage stagebus_data.stages;
begin
    perform stagebus.check_limit(
        'stage_parameter_bytes', (select j.created_by from jobs as j where j.job_id = p_job_id),
        octet_length(p_parameters::text),
        format('the parameters of stage %s have %s bytes',
            p_stage, octet_length(p_parameters::text)),
        'Put the data elsewhere and pass a reference');
    insert into stages (
        job_id, stage, name, group_value, task_type, destination, parameters, nonce,
        tolerated_failures, on_failure, atomic, created_at)
    select
        p_job_id, p_stage, p_name, p_group_value, p_task_type, t.destination, p_parameters,
        right(replace(gen_random_uuid()::text, '-', ''), 10),
        coalesce(p_tolerated_failures, t.tolerated_failures),
        coalesce(p_on_failure, t.on_failure), t.atomic, stagebus.clock()
    from task_types as t
    where t.task_type = p_task_type
    returning * into v_stage;
    return v_stage;
end;
$$;
comment on function stagebus.add_stage(uuid, integer, text, jsonb, text, text, text, text) is
    'Makes a filling stage and returns it; the caller has checked that it may be. '
    'Raises SB127.';
