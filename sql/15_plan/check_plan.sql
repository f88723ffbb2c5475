-- A plan is refused as a whole, with the first thing that is wrong with it, before any of it is
-- kept.
create or replace function stagebus.check_plan(p_plan jsonb) returns void
language plpgsql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_key    text;
    v_stage  record;
    v_name   text;
    v_names  text[];
    v_finals text[];
begin
    if coalesce(jsonb_typeof(p_plan) <> 'object' or jsonb_typeof(p_plan -> 'stages') <> 'array',
        true)
    then
        perform stagebus.raise_error(
            'SB140', 'the plan is not an object with an array of stages',
            format('It is a JSON %s.', coalesce(jsonb_typeof(p_plan), 'null')),
            'Pass {"stages": [{"name": "tile", "task_type": "render_tile", "count": 16}]}.');
    end if;
    select k into v_key
    from jsonb_object_keys(p_plan) as k
    where k not in ('stages', 'timeout')
    order by k
    limit 1;
    if found then
        perform stagebus.raise_error(
            'SB140', format('the plan has an unknown key %s', to_json(v_key)),
            'A plan has the keys stages and timeout.', 'Correct or remove it.');
    end if;
    begin
        if p_plan ? 'timeout' and coalesce(
            jsonb_typeof(p_plan -> 'timeout') <> 'string' or (p_plan ->> 'timeout')::interval
                not between interval '1 second' and interval '1 day', true)
        then
            raise invalid_datetime_format;
        end if;
    exception when data_exception then
        perform stagebus.raise_error(
            'SB140', format('the timeout %s of the plan is not usable', p_plan -> 'timeout'),
            'It is how long advancing a job may take: an interval of 1 second to 1 day.',
            'Pass e.g. "timeout": "10 minutes"; the default is 5 minutes.');
    end;
    if jsonb_array_length(p_plan -> 'stages') not between 1 and 100 then
        perform stagebus.raise_error(
            'SB140', format('the plan has %s stages', jsonb_array_length(p_plan -> 'stages')),
            'A plan has 1 to 100 stages.', 'Split the work into several job types.');
    end if;

    for v_stage in
        select e.number::integer as number, e.stage,
            format('stage %s', coalesce(to_json(e.stage ->> 'name')::text, e.number::text)) as what
        from jsonb_array_elements(p_plan -> 'stages') with ordinality as e (stage, number)
        order by e.number
    loop
        perform stagebus.check_plan_stage(v_stage.what, v_stage.stage);
        v_name := v_stage.stage ->> 'name';
        if v_name = any (v_names) then
            perform stagebus.raise_error(
                'SB140', format('%s is there twice', v_stage.what),
                'The stages of a plan have names of their own.', 'Rename one of them.');
        end if;
        v_names := v_names || v_name;
        if v_stage.stage -> 'final' = 'true' then
            v_finals := v_finals || v_name;
        end if;
    end loop;
    if cardinality(v_finals) > 1 then
        perform stagebus.raise_error(
            'SB140', format('the plan has %s final stages: %s', cardinality(v_finals),
                array_to_string(v_finals, ', ')),
            'One stage at most begins when all others are over.',
            'Put what they do into one, with several tasks.');
    end if;

    for v_stage in
        select e.number, e.stage ->> 'name' as name, w.name as awaited
        from jsonb_array_elements(p_plan -> 'stages') with ordinality as e (stage, number)
        cross join lateral unnest(stagebus.planned_waits_for(p_plan, e.number::integer))
            as w (name)
        where w.name is null or w.name <> all (v_names) or w.name = any (v_finals)
        order by e.number
        limit 1
    loop
        perform stagebus.raise_error(
            'SB140', format('stage %s cannot wait for %s', to_json(v_stage.name),
                coalesce(to_json(v_stage.awaited)::text, 'null')),
            case when v_stage.awaited = any (v_finals)
                then 'That is the final stage: it begins when all others are over.'
                else format('There is no such stage; there are: %s.',
                    array_to_string(v_names, ', ')) end,
            'Name other stages in "after", or [] for none; without "after" a stage waits for the '
            'one before it.');
    end loop;
    perform stagebus.check_plan_order(p_plan);
end;
$$;
comment on function stagebus.check_plan(jsonb) is
    'Raises SB107, SB118, SB140 or SB141 for the first thing that is wrong with a plan.';
