-- The tasks of a plan's function, a stage for each value of the parameter that groups them. The
-- first has the number of the plan and is there already; further ones come after all numbers that
-- are taken. The values may come in any order: what is added to a stage is looked at once, at last.
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
    v_groups text[] := array[]::text[];
    v_counts integer[] := array[]::integer[];
    v_sums   integer[];
    v_most   integer;
    v_chunk  jsonb[];
    v_values text[];
    v_value  text;
    v_at     integer;
    v_stage  stagebus_data.stages;
begin
    for v_chunk in
        select array_agg(f.task order by f.number)
        from stagebus.call_plan_function(p_planned.task_function, p_job_id, p_parameters)
            with ordinality as f (task, number)
        group by (f.number - 1) / 10000
        order by (f.number - 1) / 10000
    loop
        v_values := array(
            select stagebus.group_value_of(p_planned, c.task)
            from unnest(v_chunk) with ordinality as c (task, number)
            order by c.number);
        for v_value in
            select c.value
            from unnest(v_values) with ordinality as c (value, number)
            where not exists (select from unnest(v_groups) as g (value) where g.value = c.value)
            group by c.value
            order by min(c.number)
        loop
            v_groups := v_groups || v_value;
            v_counts := v_counts || 0;
            v_at := cardinality(v_groups);
            if v_at = 1 then
                update stages as s set group_value = v_value
                where s.job_id = p_job_id and s.stage = p_planned.stage;
            else
                v_stages := v_stages || stagebus.next_stage_number(p_job_id);
                perform stagebus.add_stage(
                    p_job_id, v_stages[v_at], p_planned.task_type,
                    p_parameters || p_planned.parameters, p_planned.name, v_value,
                    p_planned.tolerated_failures, p_planned.on_failure);
            end if;
        end loop;
        v_sums := array(
            select (v_counts[g.nth] + count(c.value))::integer
            from unnest(v_groups) with ordinality as g (value, nth)
            left join unnest(v_values) as c (value) on c.value = g.value
            group by g.nth
            order by g.nth);
        select p_job_id, v_stages[g.nth], g.tasks into v_stage.job_id, v_stage.stage, v_most
        from unnest(v_sums) with ordinality as g (tasks, nth)
        order by g.tasks desc
        limit 1;
        perform stagebus.check_stage_tasks(v_stage, v_most, p_or_more => true);
        insert into tasks (job_id, stage, task_index, parameters)
        select p_job_id, v_stages[g.nth],
            v_counts[g.nth] + row_number() over (partition by g.nth order by c.number), c.task
        from unnest(v_chunk, v_values) with ordinality as c (task, value, number)
        join unnest(v_groups) with ordinality as g (value, nth) on g.value = c.value;
        v_counts := v_sums;
    end loop;
    for v_nth in 1 .. cardinality(v_stages) loop
        select s.* into strict v_stage
        from stages as s
        where s.job_id = p_job_id and s.stage = v_stages[v_nth];
        if v_counts[v_nth] > 0 then
            v_stage := stagebus.account_for_tasks(v_stage, v_counts[v_nth]);
        end if;
        perform stagebus.open_for_work(v_stage);
    end loop;
    return v_stages;
end;
$$;
comment on function stagebus.make_grouped_stages(uuid, stagebus_data.plan_stages, jsonb) is
    'Fills and seals the stages of an entry of a plan with group_by, of which the first has been '
    'added; p_parameters are the job''s. Returns their numbers. '
    'Raises SB110, SB111, SB118, SB127, SB142, SB145, and what its function raises.';
