-- How many tasks a path gives.
create or replace function stagebus.planned_count(
    p_planned stagebus_data.plan_stages,
    p_context jsonb
) returns integer
language plpgsql
immutable
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_count jsonb := jsonb_path_query_first(p_context, p_planned.task_count);
begin
    if jsonb_typeof(v_count) = 'number' and v_count::numeric between 0 and 999999999
        and v_count::numeric = trunc(v_count::numeric)
    then
        return v_count::integer;
    end if;
    perform stagebus.raise_error(
        'SB145', format('the count of stage %s is %s', p_planned.name,
            coalesce(left(v_count::text, 100), 'not there')),
        format('The path %s gives a whole number from 0 to 999,999,999.', p_planned.task_count),
        'Submit the job with the parameters that its plan needs; explain_plan shows them, or '
        'define the plan anew.');
    return null;
end;
$$;
comment on function stagebus.planned_count(stagebus_data.plan_stages, jsonb) is
    'The count of tasks of a planned stage, from plan_context. Raises SB145, and what the path '
    'raises.';
