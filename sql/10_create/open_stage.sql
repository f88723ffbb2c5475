-- The first of three steps: a stage that is being filled. Nothing of it can be claimed or started.
create or replace function stagebus.open_stage(
    p_job_id uuid,
    p_stage integer,
    p_task_type text,
    parameters jsonb default '{}'
) returns void
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_job     stagebus_data.jobs;
    v_earlier record;
begin
    if p_stage is null or p_stage not between 1 and 32767 then
        perform stagebus.raise_error(
            'SB103', format('stage %s is not a stage number', coalesce(p_stage::text, 'null')),
            'Stages are numbered from 1 to 32767.', 'Number the first stage 1.');
    end if;
    if coalesce(jsonb_typeof(open_stage.parameters) <> 'object', true) then
        perform stagebus.raise_error(
            'SB109', 'the stage''s common parameters are not a JSON object',
            format('They are a JSON %s.', coalesce(jsonb_typeof(open_stage.parameters), 'null')),
            'Pass an object, e.g. ''{"resolution": 5}'', or leave them out.');
    end if;
    perform stagebus.check_nesting(
        array[open_stage.parameters], 'the stage''s common parameters');

    select j.* into v_job from jobs as j where j.job_id = p_job_id for no key update;
    if not found then
        perform stagebus.raise_error(
            'SB101', format('job %s does not exist', coalesce(p_job_id::text, 'null')),
            'Its creation may have been rolled back.', 'Create it with create_job(job_type).');
    end if;
    if v_job.state not in ('created', 'running') then
        perform stagebus.raise_error(
            'SB102', format('job %s has ended: it is %s', p_job_id, v_job.state),
            'An ended job takes no more stages.', 'Create a new job with create_job(job_type).');
    end if;
    if v_job.cancelling then
        perform stagebus.raise_error(
            'SB102', format('job %s is being cancelled', p_job_id),
            'It takes no more stages.', 'Create a new job with create_job(job_type).');
    end if;

    if v_job.plan_version is not null then
        perform stagebus.raise_error(
            'SB144', format('job %s has a plan', p_job_id),
            format('Its stages are those of version %s of the plan of %s; advance_job makes them.',
                v_job.plan_version, quote_literal(v_job.job_type)),
            'Put the stage into the plan with define_job_type, or make a job with create_job.');
    end if;

    if not exists (select from task_types as t where t.task_type = p_task_type) then
        perform stagebus.raise_error(
            'SB107', format('task type %s is not defined',
                coalesce(quote_literal(p_task_type), 'null')),
            format('Defined are: %s.',
                (select string_agg(t.task_type, ', ' order by t.task_type) from task_types as t)),
            'Define it with set_task_type(task_type), or correct the name.');
    end if;

    if exists (
        select
        from stages as s
        where s.job_id = p_job_id and s.stage = p_stage and s.ending = 'withdraw')
    then
        perform stagebus.raise_error(
            'SB131', format('stage %s of job %s is being withdrawn', p_stage, p_job_id),
            'Its number is free again when all of it is gone.',
            'A bridge works that off; without one: work_order; the view orders has its number.');
    end if;
    if exists (select from stages as s where s.job_id = p_job_id and s.stage = p_stage) then
        perform stagebus.raise_error(
            'SB104', format('stage %s of job %s exists already', p_stage, p_job_id),
            'A stage is made once.',
            'Use the next number, or if_exists => ''skip'' for the summary of what there is.');
    end if;
    select s.stage, s.state into v_earlier
    from stages as s
    where s.job_id = p_job_id and s.stage < p_stage
    order by s.stage desc
    limit 1;
    if coalesce(v_earlier.stage, 0) <> p_stage - 1 then
        perform stagebus.raise_error(
            'SB103', format('stage %s of job %s is out of order', p_stage, p_job_id),
            format('The last stage of the job is %s.', coalesce(v_earlier.stage, 0)),
            format('Create stage %s first.', coalesce(v_earlier.stage, 0) + 1));
    end if;
    if v_earlier.state in ('filling', 'provisional', 'open') then
        perform stagebus.raise_error(
            'SB103', format('stage %s of job %s is out of order', p_stage, p_job_id),
            format('Stage %s has not ended: it is %s.', v_earlier.stage, v_earlier.state),
            case when v_earlier.state = 'filling'
                then 'Seal it with seal_stage, or have an operator give it up with cancel_stage.'
                else 'Wait for its end: listen on stagebus_jobs, or look at job_progress.' end);
    end if;

    perform stagebus.add_stage(p_job_id, p_stage, p_task_type, open_stage.parameters);
    if v_job.state = 'created' then
        update jobs as j set state = 'running', started_at = stagebus.clock()
        where j.job_id = p_job_id and j.state = 'created';
    end if;
    -- What was due after the stage before has now been acted on.
    delete from due_advances as d where d.job_id = p_job_id and d.stage < p_stage;
end;
$$;
comment on function stagebus.open_stage(uuid, integer, text, jsonb) is
    'Opens a stage for append_tasks and seal_stage. Locks the job. '
    'Raises SB101, SB102, SB103, SB104, SB107, SB109, SB118, SB127, SB131, SB144.';
