-- The tasks of a plan's function, a stage for each value of the parameter that groups them. The
-- first has the number of the plan and is there already; further ones come after all numbers that
-- are taken.
create or replace function stagebus.make_grouped_stages(
    p_job_id uuid,
    p_planned stagebus_data.plan_stages,
    p_parameters jsonb
) returns integer[]
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_stages integer[] := array[p_planned.stage];
    v_groups text[] := array[null::text];
    v_chunk  jsonb[];
    v_group  record;
    v_at     integer;
begin
    for v_chunk in
        select array_agg(f.task order by f.number)
        from stagebus.call_plan_function(p_planned.task_function, p_job_id, p_parameters)
            with ordinality as f (task, number)
        group by (f.number - 1) / 10000
        order by (f.number - 1) / 10000
    loop
        for v_group in
            select stagebus.group_value_of(p_planned, c.task) as value,
                array_agg(c.task order by c.number) as tasks, min(c.number) as first
            from unnest(v_chunk) with ordinality as c (task, number)
            group by 1
            order by first
        loop
            v_at := array_position(v_groups, v_group.value);
            if v_at is null and v_groups[1] is null then
                v_at := 1;
                v_groups[1] := v_group.value;
                update stages as s set group_value = v_group.value
                where s.job_id = p_job_id and s.stage = p_planned.stage;
            elsif v_at is null then
                v_at := cardinality(v_groups) + 1;
                v_groups := v_groups || v_group.value;
                v_stages := v_stages || stagebus.next_stage_number(p_job_id);
                perform stagebus.add_stage(
                    p_job_id, v_stages[v_at], p_planned.task_type,
                    p_parameters || p_planned.parameters, p_planned.name, v_group.value,
                    p_planned.tolerated_failures, p_planned.on_failure);
            end if;
            perform stagebus.append_tasks(p_job_id, v_stages[v_at], v_group.tasks);
        end loop;
    end loop;
    foreach v_at in array v_stages loop
        perform stagebus.seal_stage(p_job_id, v_at);
    end loop;
    return v_stages;
end;
$$;
comment on function stagebus.make_grouped_stages(uuid, stagebus_data.plan_stages, jsonb) is
    'Fills and seals the stages of an entry of a plan with group_by, of which the first has been '
    'added; p_parameters are the job''s. Returns their numbers. '
    'Raises SB110, SB111, SB118, SB127, SB142, SB145, and what its function raises.';
