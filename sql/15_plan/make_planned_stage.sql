-- A stage of a plan with its tasks, or, where its tasks are grouped, one stage for each group.
create or replace function stagebus.make_planned_stage(
    p_job_id uuid,
    p_planned stagebus_data.plan_stages,
    p_owner text
) returns integer[]
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_context    jsonb := stagebus.plan_context(p_job_id);
    v_parameters jsonb := v_context -> 'parameters';
    v_limit      bigint;
    v_count      integer;
    v_stage      stagebus_data.stages;
begin
    if stagebus.planned_skip(p_planned, v_context) then
        perform stagebus.skip_stage(p_job_id, p_planned);
        return array[p_planned.stage];
    end if;
    v_stage := stagebus.add_stage(
        p_job_id, p_planned.stage, p_planned.task_type, v_parameters || p_planned.parameters,
        p_planned.name, null, p_planned.tolerated_failures, p_planned.on_failure);
    if p_planned.task_count is not null then
        v_count := stagebus.planned_count(p_planned, v_context);
        if v_count > 0 then
            v_stage := stagebus.number_tasks(v_stage, v_count);
        end if;
    else
        perform stagebus.check_plan_function(p_planned.task_function, p_owner);
        if p_planned.group_by is not null then
            return stagebus.make_grouped_stages(p_job_id, p_planned, v_parameters);
        end if;
        v_limit := (
            select stagebus.limit_of('stage_tasks', j.created_by)::bigint
            from jobs as j
            where j.job_id = p_job_id);
        -- One task beyond the limit tells that there are too many; the table need not hold them
        -- all. What the function returns has gone to temporary files before, however much it is.
        insert into tasks (job_id, stage, task_index, parameters)
        select p_job_id, p_planned.stage, f.number, f.task
        from stagebus.call_plan_function(p_planned.task_function, p_job_id, v_parameters)
            with ordinality as f (task, number)
        limit v_limit + 1;
        get diagnostics v_count = row_count;
        if v_count > 0 then
            perform stagebus.check_stage_tasks(v_stage, v_count, p_or_more => true);
            v_stage := stagebus.account_for_tasks(v_stage, v_count);
        end if;
    end if;
    perform stagebus.open_for_work(v_stage);
    return array[p_planned.stage];
end;
$$;
comment on function stagebus.make_planned_stage(uuid, stagebus_data.plan_stages, text) is
    'Makes the stage, or the stages, of one entry of a plan, and returns their numbers. p_owner is '
    'the plan''s. Raises SB108, SB110, SB111, SB118, SB127, SB142, SB145, and what its function '
    'raises.';
