-- The end of a job without a plan: its controller says that no stage follows.
create or replace function stagebus.finish_job(p_job_id uuid) returns text
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_state   text;
    v_planned boolean;
    v_open    record;
begin
    perform stagebus.require_read_committed('finish_job');
    select j.state, j.plan_version is not null into v_state, v_planned
    from jobs as j
    where j.job_id = p_job_id
    for no key update;
    if not found then
        perform stagebus.raise_error(
            'SB101', format('job %s does not exist', coalesce(p_job_id::text, 'null')),
            'Its creation may have been rolled back.', 'Look it up in the view jobs.');
    end if;
    if v_state not in ('created', 'running') then
        return v_state;
    end if;
    if v_planned then
        perform stagebus.raise_error(
            'SB144', format('job %s has a plan', p_job_id),
            'It ends by itself, with the last stage of its plan.',
            'Wait for its end, or have an operator end it now with cancel_job.');
    end if;
    select s.stage, s.state into v_open
    from stages as s
    where s.job_id = p_job_id and s.ended_at is null
    order by s.stage
    limit 1;
    if found then
        perform stagebus.raise_error(
            'SB113', format('job %s cannot be finished', p_job_id),
            format('Stage %s has not ended: it is %s.', v_open.stage, v_open.state),
            case when v_open.state = 'filling'
                then 'Seal it with seal_stage, or have an operator give it up with cancel_stage.'
                else 'Wait for its end: listen on stagebus_jobs, or look at job_progress.' end);
    end if;
    select case
        when bool_or(s.state = 'failed') then 'failed'
        when bool_or(s.state <> 'completed') then 'completed_with_errors'
        else 'completed' end
    into v_state
    from stages as s
    where s.job_id = p_job_id;
    perform stagebus.end_job(p_job_id, coalesce(v_state, 'completed'));
    return coalesce(v_state, 'completed');
end;
$$;
comment on function stagebus.finish_job(uuid) is
    'Ends a job whose stages have all ended and returns its state; for an ended job it returns '
    'the state and changes nothing. Locks the job. Raises SB101, SB113, SB115, SB144.';
