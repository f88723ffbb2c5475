-- The function that a plan names, as it is kept: schema and name, quoted where they need it.
create or replace function stagebus.plan_function_name(p_function text) returns text
language plpgsql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_parts text[];
begin
    if p_function is null then
        return null;
    end if;
    begin
        v_parts := parse_ident(p_function);
    exception when invalid_parameter_value then
        v_parts := null;
    end;
    if cardinality(v_parts) is distinct from 2 then
        perform stagebus.raise_error(
            'SB142', format('%s does not name a function', quote_literal(p_function)),
            'A plan names its functions with their schema and without arguments.',
            'Write e.g. "gis.tiles_of"; it is called with the job''s id and its parameters.');
    end if;
    return format('%I.%I', v_parts[1], v_parts[2]);
end;
$$;
comment on function stagebus.plan_function_name(text) is
    'A qualified function name in its quoted form; null for null. Raises SB142.';
