-- Waiting in a circle would wait for ever. A path that reads another stage reads one that is over.
create or replace function stagebus.check_plan_order(p_plan jsonb) returns void
language plpgsql
immutable
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_over  text[] := array[]::text[];
    v_next  text[];
    v_cycle text[];
    v_name  text;
    v_read  record;
begin
    -- Those whose stages before them are over, again and again, until nothing is left but a circle.
    loop
        select array_agg(e.stage ->> 'name') into v_next
        from jsonb_array_elements(p_plan -> 'stages') with ordinality as e (stage, number)
        where e.stage ->> 'name' <> all (v_over)
            and coalesce(stagebus.planned_waits_for(p_plan, e.number::integer), '{}') <@ v_over;
        exit when v_next is null;
        v_over := v_over || v_next;
    end loop;
    if cardinality(v_over) < jsonb_array_length(p_plan -> 'stages') then
        -- From the first of them back to one that it waits for, until one comes again.
        select e.stage ->> 'name' into v_name
        from jsonb_array_elements(p_plan -> 'stages') with ordinality as e (stage, number)
        where e.stage ->> 'name' <> all (v_over)
        order by e.number
        limit 1;
        while coalesce(v_name <> all (v_cycle), true) loop
            v_cycle := v_name || v_cycle;
            select w.name into v_name
            from jsonb_array_elements(p_plan -> 'stages') with ordinality as e (stage, number)
            cross join lateral unnest(stagebus.planned_waits_for(p_plan, e.number::integer))
                as w (name)
            where e.stage ->> 'name' = v_name and w.name <> all (v_over)
            order by w.name
            limit 1;
        end loop;
        v_cycle := v_cycle[1:array_position(v_cycle, v_name)];
        perform stagebus.raise_error(
            'SB141', format('the plan has a cycle: %s',
                array_to_string(v_name || v_cycle, ' → ')),
            'Each of these waits for the one before it, so that none ever begins.',
            'Take one of them out of an "after"; a stage without "after" waits for the one before '
            'it in the list.');
    end if;

    for v_read in
        select e.stage ->> 'name' as name, r.read[1] as read
        from jsonb_array_elements(p_plan -> 'stages') with ordinality as e (stage, number)
        cross join lateral (
            values ((e.stage ->> 'count')::jsonpath), ((e.stage ->> 'skip_when')::jsonpath)
        ) as p (path)
        cross join lateral regexp_matches(p.path::text, '\$\."stages"(?:\."([^"]*)")?', 'g')
            as r (read)
        where not coalesce(e.stage -> 'final' = 'true', false)
            and not coalesce(r.read[1] = any (
                stagebus.planned_before(p_plan, e.stage ->> 'name')), false)
        order by e.number
        limit 1
    loop
        perform stagebus.raise_error(
            'SB140', format('stage %s reads %s', to_json(v_read.name),
                coalesce('stage ' || to_json(v_read.read)::text, 'all stages')),
            format('It begins after: %s; others may not be over.', coalesce(
                nullif(array_to_string(
                    stagebus.planned_before(p_plan, v_read.name), ', '), ''), 'no stage')),
            'Put the stage that it reads into its "after".');
    end loop;
end;
$$;
comment on function stagebus.check_plan_order(jsonb) is
    'Raises SB141, with the cycle, when stages of a plan wait for each other; SB140 when one reads '
    'what may not be over.';
