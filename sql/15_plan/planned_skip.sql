-- Whether a stage is passed over.
create or replace function stagebus.planned_skip(
    p_planned stagebus_data.plan_stages,
    p_context jsonb
) returns boolean
language plpgsql
immutable
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_answer jsonb;
begin
    if p_planned.skip_when is null then
        return false;
    end if;
    v_answer := jsonb_path_query_first(p_context, p_planned.skip_when);
    if jsonb_typeof(v_answer) = 'boolean' then
        return v_answer::boolean;
    end if;
    perform stagebus.raise_error(
        'SB145', format('skip_when of stage %s is neither true nor false', p_planned.name),
        format('The path %s gives %s.', p_planned.skip_when,
            coalesce(left(v_answer::text, 100), 'nothing')),
        'Compare what is of one type, or define the plan anew.');
    return null;
end;
$$;
comment on function stagebus.planned_skip(stagebus_data.plan_stages, jsonb) is
    'True when the condition of a planned stage says that it is skipped, from plan_context; false '
    'without one. Raises SB145, and what the path raises.';
