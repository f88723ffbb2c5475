-- What a job would become, as far as that can be known without running anything.
create or replace function stagebus.explain_plan(
    p_job_type text,
    parameters jsonb default '{}'
) returns table (
    stage integer,
    name text,
    task_type text,
    waits_for text,
    tasks_from text,
    tasks integer,
    batches integer,
    skipped boolean,
    note text
)
language plpgsql
stable
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_plan    stagebus_data.plans := stagebus.latest_plan(p_job_type);
    v_context jsonb := jsonb_build_object('parameters', parameters);
    v_planned stagebus_data.plan_stages;
    v_type    stagebus_data.task_types;
    v_size    integer;
    v_reads   text := '\$\."stages"';
begin
    if coalesce(jsonb_typeof(parameters) <> 'object', true) then
        perform stagebus.raise_error(
            'SB109', 'the job''s parameters are not a JSON object',
            format('They are a JSON %s.', coalesce(jsonb_typeof(parameters), 'null')),
            'Pass an object, e.g. ''{"region": "alps"}''.');
    end if;
    for v_planned in
        select ps.*
        from plan_stages as ps
        where ps.job_type = v_plan.job_type and ps.version = v_plan.version
        order by ps.stage
    loop
        select t.* into v_type from task_types as t where t.task_type = v_planned.task_type;
        stage := v_planned.stage;
        name := v_planned.name;
        task_type := v_planned.task_type;
        waits_for := coalesce(
            array_to_string(v_planned.waits_for, ', '), 'all others, however they end');
        tasks_from := coalesce(
            v_planned.task_function || '()' || coalesce(
                ', a stage for each ' || quote_literal(v_planned.group_by), ''),
            v_planned.task_count::text);
        tasks := null;
        skipped := null;
        note := null;
        begin
            if coalesce(v_planned.skip_when::text !~ v_reads, true) then
                skipped := stagebus.planned_skip(v_planned, v_context);
            end if;
            if skipped then
                tasks := 0;
            elsif v_planned.task_count::text !~ v_reads then
                tasks := stagebus.planned_count(v_planned, v_context);
                perform stagebus.check_limit(
                    'stage_tasks', session_user, tasks,
                    format('stage %s would have %s tasks, more than role %s may have', name, tasks,
                        quote_literal(session_user)), 'Split the work into several stages');
            end if;
            if v_planned.task_function is not null then
                perform stagebus.check_plan_function(v_planned.task_function, v_plan.owner);
            end if;
        exception when sqlstate 'SB127' or sqlstate 'SB142' or sqlstate 'SB145' or data_exception
        then
            get stacked diagnostics note = message_text;
        end;
        -- As cut_batches does; those of an atomic type depend on the bytes of their messages.
        v_size := case when not v_type.atomic then
            case v_type.boundary when 'by_stage' then 10000 else v_type.batch_size end end;
        batches := (tasks + v_size - 1) / v_size;
        return next;
    end loop;
end;
$$;
comment on function stagebus.explain_plan(text, jsonb) is
    'The stages that a job with these parameters would have by the latest plan of its type: counts '
    'that the parameters decide, null for what a function or an earlier stage decides, and for '
    'batches of an atomic type; note: what would fail. Calls no function of the plan and changes '
    'nothing. Raises SB109, SB143.';
