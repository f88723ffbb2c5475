-- The only way into a plan's function. This one belongs to stagebus_nobody, a role without rights:
-- a function that is altered to run with its caller's gains nothing by it.
-- A function may set the session's search_path, also that of the functions around it: then the
-- names in our own would mean what its owner has put there, and be run with our rights. So the path
-- is ours again before any name is looked up, and a function that changes a setting is refused.
-- What it leaves behind would be run later, as whoever advances the job: a cursor when it is
-- fetched or, with hold, at the commit; a temporary type or view when something is called like it;
-- a deferred trigger, before PostgreSQL 18, at the commit. Triggers are called now, as this role.
create or replace function stagebus.call_plan_function(
    p_function text,
    p_job_id uuid,
    p_parameters jsonb
) returns setof jsonb
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_before text[] := array(
        select format('changed the session''s %s=%s', s.name, s.setting) from pg_settings as s
        union all
        select format('left the cursor %s=%s', c.name, c.creation_time) from pg_cursors as c
        union all
        select format('left the temporary %s=%s',
            pg_describe_object(d.classid, d.objid, 0), d.objid)
        from pg_depend as d
        where d.refclassid = 'pg_namespace'::regclass and d.refobjid = pg_my_temp_schema());
    v_parts  text[] := parse_ident(p_function);
    v_path   text;
    v_did    text;
begin
    return query execute format(
        'select f.task from %I.%I($1, $2) as f (task)', v_parts[1], v_parts[2])
        using p_job_id, p_parameters;
    v_path := pg_catalog.current_setting('search_path');
    perform pg_catalog.set_config('search_path', 'stagebus_data, stagebus, pg_temp', true);
    set constraints all immediate;
    select split_part(l.line, '=', 1) into v_did
    from (
        select format('changed the session''s %s=%s', s.name,
            case s.name when 'search_path' then v_path else s.setting end) as line
        from pg_settings as s
        union all
        select format('left the cursor %s=%s', c.name, c.creation_time) from pg_cursors as c
        union all
        select format('left the temporary %s=%s',
            pg_describe_object(d.classid, d.objid, 0), d.objid)
        from pg_depend as d
        where d.refclassid = 'pg_namespace'::regclass and d.refobjid = pg_my_temp_schema()
        except
        select b from unnest(v_before) as b
    ) as l
    order by 1
    limit 1;
    if found then
        -- Not by raise_error, which the role of this function may not call.
        raise exception using
            errcode = 'SB142',
            message = format('function %s %s', p_function, v_did),
            detail = 'What a plan''s function sets or makes in the session is its own: it ends '
                'with the function.',
            hint = case
                when v_did like 'left %' then 'Close or drop it before the function returns.'
                else format('Use set_config(…, …, true), and: alter function %s(uuid, jsonb) set '
                    '%s from current;', p_function,
                    substr(v_did, length('changed the session''s ') + 1)) end;
    end if;
end;
$$;
comment on function stagebus.call_plan_function(text, uuid, jsonb) is
    'What the function of a plan returns; check_plan_function has checked it. It runs as its owner '
    'and raises what it raises; SB142 when it changes a setting of the session, or leaves a '
    'cursor or a temporary object. Constraints are immediate from here on.';
