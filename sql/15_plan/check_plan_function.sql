-- What a plan names runs with the rights of the plan's owner, and with no others: asked when the
-- plan is defined, and again before each call, since functions can be altered.
create or replace function stagebus.check_plan_function(
    p_function text,
    p_owner text
) returns text
language plpgsql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_parts    text[] := parse_ident(p_function);
    v_function record;
    v_path     text;
    v_rule     text;
    v_way_out  text;
begin
    -- By the catalog, not by to_regprocedure, which needs rights of ours on their schema.
    select p.oid, p.prokind, p.prosecdef, p.proretset, p.prorettype, p.proconfig,
        r.rolname::text as owner, n.oid as schema_oid
    into v_function
    from pg_proc as p
    join pg_namespace as n on n.oid = p.pronamespace
    join pg_roles as r on r.oid = p.proowner
    where n.nspname = v_parts[1] and p.proname = v_parts[2]
        and p.proargtypes[0] = 'uuid'::regtype and p.proargtypes[1] = 'jsonb'::regtype
        and p.pronargs = 2;
    if not found then
        perform stagebus.raise_error(
            'SB142', format('there is no function %s(uuid, jsonb)', p_function),
            'A plan''s function takes the job''s id and its parameters and returns setof jsonb.',
            format('create function %s(p_job_id uuid, p_parameters jsonb) returns setof jsonb '
                'security definer set search_path = …, pg_temp …', p_function));
    end if;
    select substr(c, length('search_path=') + 1) into v_path
    from unnest(v_function.proconfig) as c
    where c like 'search\_path=%';
    v_rule := case
        when v_function.prokind <> 'f' or not v_function.proretset
            or v_function.prorettype <> 'jsonb'::regtype
            then 'It is a function that returns setof jsonb: one object per task.'
        when not v_function.prosecdef then 'It is security definer.'
        when v_path is null or v_path !~ '(^|,)\s*"?pg_temp"?\s*$'
            then 'Its search_path is pinned, and names pg_temp last.'
        when v_function.owner = 'stagebus_owner' then 'Its owner is not that of stagebus.'
        when v_function.owner <> p_owner
            then format('It belongs to the owner of the plan, %s, not to %s.', p_owner,
                v_function.owner)
        when not has_schema_privilege('stagebus_nobody', v_function.schema_oid, 'usage')
            or not has_function_privilege('stagebus_nobody', v_function.oid, 'execute')
            then 'stagebus_nobody, the role that calls it, may execute it.'
    end;
    if v_rule is not null then
        v_way_out := case
            when v_rule like 'stagebus_nobody%' then format(
                'grant usage on schema %I to stagebus_nobody; '
                'grant execute on function %s(uuid, jsonb) to stagebus_nobody;',
                v_parts[1], p_function)
            when v_rule like 'It is security%'
                then format('alter function %s(uuid, jsonb) security definer;', p_function)
            when v_rule like 'Its search_path%' then format(
                'alter function %s(uuid, jsonb) set search_path = %I, pg_temp;', p_function,
                v_parts[1])
            when v_rule like '%owner%' then format(
                'alter function %s(uuid, jsonb) owner to …; or define the plan anew.', p_function)
            else 'Create it anew; docs/plans.md has an example.' end;
        perform stagebus.raise_error(
            'SB142', format('function %s cannot be called by a plan', p_function), v_rule,
            v_way_out);
    end if;
    return p_function;
end;
$$;
comment on function stagebus.check_plan_function(text, text) is
    'Raises SB142 unless the function is one that a plan of p_owner may call, with what to type; '
    'returns it.';
