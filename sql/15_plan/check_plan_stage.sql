-- One stage of a plan, for itself.
create or replace function stagebus.check_plan_stage(
    p_what text,
    p_stage jsonb
) returns void
language plpgsql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_key   text;
    v_rule  text;
    v_error text;
begin
    if jsonb_typeof(p_stage) <> 'object' then
        perform stagebus.raise_error(
            'SB140', format('%s of the plan is not an object', p_what),
            format('It is a JSON %s.', jsonb_typeof(p_stage)),
            'Pass e.g. {"name": "tile", "task_type": "render_tile", "count": 16}.');
    end if;
    select k into v_key
    from jsonb_object_keys(p_stage) as k
    where k not in (
        'name', 'task_type', 'after', 'final', 'count', 'tasks', 'group_by', 'parameters',
        'skip_when', 'tolerated_failures', 'on_failure')
    order by k
    limit 1;
    if found then
        perform stagebus.raise_error(
            'SB140', format('%s has an unknown key %s', p_what, to_json(v_key)),
            'A stage has the keys name, task_type, after, final, count, tasks, group_by, '
            'parameters, skip_when, tolerated_failures, on_failure.', 'Correct or remove it.');
    end if;

    -- The first rule that it breaks.
    v_rule := case
        when coalesce(jsonb_typeof(p_stage -> 'name') <> 'string'
            or p_stage ->> 'name' !~ '^[A-Za-z_][A-Za-z0-9_]{0,62}$', true)
            then 'Its name has 1 to 63 letters, digits and underscores, and begins with no digit.'
        when coalesce(jsonb_typeof(p_stage -> 'task_type') <> 'string', true)
            then 'Its task_type is the name of a task type.'
        when p_stage ? 'after' and jsonb_typeof(p_stage -> 'after') not in ('array', 'string')
            or p_stage @? '$.after[*] ? (@.type() != "string")'
            then 'Its "after" is an array of the names of stages.'
        when p_stage ? 'final' and jsonb_typeof(p_stage -> 'final') <> 'boolean'
            then 'Its "final" is true or false.'
        when p_stage -> 'final' = 'true' and p_stage ? 'after'
            then 'A final stage begins when all others are over; it has no "after".'
        when (p_stage ? 'count') = (p_stage ? 'tasks')
            then 'It has either a count of tasks or, in "tasks", a function that returns them.'
        when p_stage ? 'count' and not (
            jsonb_typeof(p_stage -> 'count') = 'string'
            or coalesce(p_stage @@ 'strict $.count >= 0 && $.count <= 999999999'
                ' && $.count.floor() == $.count', false))
            then 'Its count is a whole number from 0 to 999,999,999, or a JSON path to one.'
        when p_stage ? 'tasks' and jsonb_typeof(p_stage -> 'tasks') <> 'string'
            then 'Its "tasks" is the name of a function, with its schema.'
        when p_stage ? 'group_by' and not (
            p_stage ? 'tasks' and jsonb_typeof(p_stage -> 'group_by') = 'string'
            and length(p_stage ->> 'group_by') between 1 and 100)
            then 'Its group_by names a parameter of the tasks that its function returns.'
        when p_stage ? 'parameters' and jsonb_typeof(p_stage -> 'parameters') <> 'object'
            then 'Its parameters are an object.'
        when p_stage ? 'skip_when' and jsonb_typeof(p_stage -> 'skip_when') <> 'string'
            then 'Its skip_when is a JSON path predicate, e.g. "$.parameters.draft == true".'
        when p_stage ? 'tolerated_failures' and not coalesce(
            p_stage ->> 'tolerated_failures' ~ '^([0-9]{1,9}|(100|[0-9]{1,2}(\.[0-9]{1,6})?)%)$',
            false)
            then 'Its tolerated_failures is a number of tasks or a percentage of them, e.g. "5%".'
        when p_stage ? 'on_failure'
            and coalesce(p_stage ->> 'on_failure' not in ('fail_job', 'wait'), true)
            then 'Its on_failure is "fail_job" or "wait".'
    end;
    if v_rule is not null then
        perform stagebus.raise_error(
            'SB140', format('%s of the plan is not usable', p_what), v_rule,
            'Correct the stage; docs/plans.md has all keys.');
    end if;
    if not exists (select from task_types as t where t.task_type = p_stage ->> 'task_type') then
        perform stagebus.raise_error(
            'SB107', format('task type %s of %s is not defined',
                quote_literal(p_stage ->> 'task_type'), p_what),
            format('Defined are: %s.',
                (select string_agg(t.task_type, ', ' order by t.task_type) from task_types as t)),
            'Define it with set_task_type(task_type), or correct the name.');
    end if;
    if p_stage ? 'parameters' then
        perform stagebus.check_nesting(
            array[p_stage -> 'parameters'], 'the parameters of ' || p_what);
    end if;
    foreach v_key in array array['count', 'skip_when'] loop
        begin
            perform (p_stage ->> v_key)::jsonpath;
        exception when syntax_error or data_exception then
            get stacked diagnostics v_error = message_text;
            perform stagebus.raise_error(
                'SB140', format('%s of %s is not a JSON path', v_key, p_what),
                format('%s: %s', left(p_stage ->> v_key, 200), v_error),
                'Begin with $.parameters or $.stages, e.g. "$.parameters.tiles".');
        end;
    end loop;
end;
$$;
comment on function stagebus.check_plan_stage(text, jsonb) is
    'Raises SB107, SB118 or SB140 when a stage of a plan is not usable; p_what names it.';
