-- Which of its stages a task belongs to.
create or replace function stagebus.group_value_of(
    p_planned stagebus_data.plan_stages,
    p_task jsonb
) returns text
language plpgsql
immutable
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    if jsonb_typeof(p_task) is distinct from 'object' then
        perform stagebus.raise_error(
            'SB110', 'the parameters of a task are not a JSON object',
            format('They are a JSON %s.', coalesce(jsonb_typeof(p_task), 'null')),
            'Return one object per task, e.g. jsonb_build_object(''name'', name).');
    end if;
    if coalesce(jsonb_typeof(p_task -> p_planned.group_by) not in ('string', 'number', 'boolean')
        or length(p_task ->> p_planned.group_by) not between 1 and 512, true)
    then
        perform stagebus.raise_error(
            'SB145', format('a task of stage %s has no usable %s', p_planned.name,
                quote_literal(p_planned.group_by)),
            'The parameter that group_by names is a string of 1 to 512 characters, a number or a '
            'boolean, in every task.',
            'Give each object this parameter, or define the plan without group_by.');
    end if;
    return p_task ->> p_planned.group_by;
end;
$$;
comment on function stagebus.group_value_of(stagebus_data.plan_stages, jsonb) is
    'The value by which a task is grouped. Raises SB110, SB145.';
