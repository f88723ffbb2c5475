-- The only way into a plan's function. This one belongs to stagebus_nobody, a role without rights:
-- a function that is altered to run with its caller's gains nothing by it.
-- A function may set the session's search_path, also that of the functions around it: then the
-- names in our own would mean what its owner has put there, and be run with our rights. So the path
-- is ours again before any name is looked up, and a function that changes a setting is refused.
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
    v_before  text[] := array(
        select s.name || '=' || s.setting from pg_settings as s order by s.name);
    v_parts   text[] := parse_ident(p_function);
    v_path    text;
    v_changed text;
begin
    return query execute format(
        'select f.task from %I.%I($1, $2) as f (task)', v_parts[1], v_parts[2])
        using p_job_id, p_parameters;
    v_path := pg_catalog.current_setting('search_path');
    perform pg_catalog.set_config('search_path', 'stagebus_data, stagebus, pg_temp', true);
    select split_part(l.setting, '=', 1) into v_changed
    from (
        select s.name || '=' || case s.name when 'search_path' then v_path else s.setting end
            as setting
        from pg_settings as s
        except
        select b from unnest(v_before) as b
    ) as l
    order by 1
    limit 1;
    if found then
        -- Not by raise_error, which the role of this function may not call.
        raise exception using
            errcode = 'SB142',
            message = format('function %s changed the session''s %s', p_function, v_changed),
            detail = 'What a plan''s function sets is its own: it ends with the function.',
            hint = format('Use set_config(…, …, true), and: alter function %s(uuid, jsonb) set %s '
                'from current;', p_function, v_changed);
    end if;
end;
$$;
comment on function stagebus.call_plan_function(text, uuid, jsonb) is
    'What the function of a plan returns; check_plan_function has checked it. It runs as its owner '
    'and raises what it raises; SB142 when it changes a setting of the session.';
