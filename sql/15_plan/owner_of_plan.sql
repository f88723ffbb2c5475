-- Whose rights a plan's functions have: that of one role, which whoever defines the plan is or is
-- a member of. A plan without functions belongs to whoever defines it.
create or replace function stagebus.owner_of_plan(p_plan jsonb) returns text
language plpgsql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_names text[];
    v_owner text := session_user::text;
    v_name  text;
begin
    select array_agg(stagebus.plan_function_name(e.stage ->> 'tasks') order by e.number)
    into v_names
    from jsonb_array_elements(p_plan -> 'stages') with ordinality as e (stage, number)
    where e.stage ? 'tasks';
    if v_names is null then
        return v_owner;
    end if;
    -- A function that is not there is refused below.
    select r.rolname::text into v_owner
    from pg_proc as p
    join pg_namespace as n on n.oid = p.pronamespace
    join pg_roles as r on r.oid = p.proowner
    where array[n.nspname, p.proname]::text[] = parse_ident(v_names[1])
        and p.pronargs = 2 and p.proargtypes[0] = 'uuid'::regtype
        and p.proargtypes[1] = 'jsonb'::regtype;
    foreach v_name in array v_names loop
        perform stagebus.check_plan_function(v_name, v_owner);
    end loop;
    if not pg_has_role(session_user, v_owner::name, 'member') then
        perform stagebus.raise_error(
            'SB142', format('function %s cannot be called by a plan of %s', v_names[1],
                session_user),
            format('It would run with the rights of its owner %s; whoever defines the plan is that '
                'role or a member of it.', v_owner),
            'Have its owner define the plan, or write a function of your own.');
    end if;
    return v_owner;
end;
$$;
comment on function stagebus.owner_of_plan(jsonb) is
    'The role whose rights the functions of a plan have: their owner. Raises SB142.';
