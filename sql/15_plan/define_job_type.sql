-- Defines the plan of a job type, or a new version of it: running jobs keep the version they have.
create or replace function stagebus.define_job_type(
    p_job_type text,
    p_plan jsonb
) returns integer
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_last    stagebus_data.plans;
    v_version integer;
    v_owner   text;
    v_callers text;
begin
    -- Who may is asked of session_user, which in a plan's function is whoever advances the job.
    get diagnostics v_callers = pg_context;
    if v_callers like '%call_plan_function(text,uuid,jsonb)%' then
        perform stagebus.raise_error(
            'SB142', 'a plan''s function cannot define a plan',
            'It would define it as whoever advances the job, and not as its owner.',
            'Call define_job_type in a session of the plan''s owner.');
    end if;
    if coalesce(length(p_job_type) not between 1 and 100, true) then
        perform stagebus.raise_error(
            'SB116',
            format('job type %s is not usable', coalesce(quote_literal(p_job_type), 'null')),
            'A job type has 1 to 100 characters.', 'Name the job type, e.g. ''tile_pyramid''.');
    end if;
    perform stagebus.check_plan(p_plan);
    -- Two definitions of one type at once would take the same number.
    perform pg_advisory_xact_lock(hashtextextended('stagebus.define_job_type ' || p_job_type, 0));
    select p.* into v_last
    from plans as p
    where p.job_type = p_job_type
    order by p.version desc
    limit 1;
    if exists (select from pg_roles as r where r.rolname = v_last.owner)
        and not pg_has_role(session_user, v_last.owner::name, 'member')
    then
        perform stagebus.raise_error(
            'SB140', format('the plan of %s cannot be changed', quote_literal(p_job_type)),
            format('It is %s''s, and %s is no member of that role.', v_last.owner, session_user),
            'Choose another name, or have a member of that role define it.');
    end if;
    v_owner := stagebus.owner_of_plan(p_plan);
    if v_last.plan = p_plan and v_last.owner = v_owner then
        return v_last.version;
    end if;
    v_version := coalesce(v_last.version, 0) + 1;
    insert into plans (job_type, version, plan, owner, timeout, defined_at)
    values (
        p_job_type, v_version, p_plan, v_owner,
        coalesce((p_plan ->> 'timeout')::interval, interval '5 minutes'), stagebus.clock());
    insert into plan_stages (
        job_type, version, stage, name, task_type, waits_for, task_count, task_function, group_by,
        parameters, skip_when, tolerated_failures, on_failure)
    select
        p_job_type, v_version, e.number, e.stage ->> 'name', e.stage ->> 'task_type',
        stagebus.planned_waits_for(p_plan, e.number::integer),
        (e.stage ->> 'count')::jsonpath,
        stagebus.plan_function_name(e.stage ->> 'tasks'),
        e.stage ->> 'group_by', coalesce(e.stage -> 'parameters', '{}'),
        (e.stage ->> 'skip_when')::jsonpath, e.stage ->> 'tolerated_failures',
        e.stage ->> 'on_failure'
    from jsonb_array_elements(p_plan -> 'stages') with ordinality as e (stage, number);
    return v_version;
end;
$$;
comment on function stagebus.define_job_type(text, jsonb) is
    'Defines the stages of a job type: {"stages": [{"name", "task_type", "count" or "tasks", …}]} '
    '(docs/plans.md has all keys), and returns the version; the plan that is there already gives '
    'its own. Raises SB107, SB116, SB118, SB140, SB141, SB142.';
