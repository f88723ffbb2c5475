-- The only way into a plan's function. This one belongs to stagebus_nobody, a role without rights: a
-- function that is altered to run with its caller's gains nothing by it.
create or replace function stagebus.call_plan_function(
    p_function text,
    p_job_id uuid,
    p_parameters jsonb
) returns setof jsonb
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    return query execute format('select f.task from %s($1, $2) as f (task)', p_function)
        using p_job_id, p_parameters;
end;
$$;
comment on function stagebus.call_plan_function(text, uuid, jsonb) is
    'What the function of a plan returns; check_plan_function has checked it. It runs as its owner '
    'and raises what it raises.';
