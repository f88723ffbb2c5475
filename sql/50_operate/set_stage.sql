-- Changes what a stage tolerates, while it runs, or after it failed: then it is judged again, and
-- its job may go on.
create or replace function stagebus.set_stage(
    p_job_id uuid,
    p_stage integer,
    tolerated_failures text default null,
    deadline timestamptz default null,
    on_failure text default null,
    reason text default null,
    dry_run boolean default false
) returns stagebus.order_report
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_now       timestamptz := stagebus.clock();
    v_before    stagebus_data.stages := stagebus.lock_stage(p_job_id, p_stage);
    v_job_state text;
    v_planned   boolean;
    v_stage     stagebus_data.stages;
    v_state     text;
    v_fails     boolean;
    v_note      text;
    v_order_id  bigint;
    v_rule      text;
begin
    perform stagebus.require_read_committed('set_stage');
    if v_before.ended_at is not null then
        -- The lock decides against open_stage and finish_job, which look at stages under it.
        select j.state, j.plan_version is not null into v_job_state, v_planned
        from jobs as j
        where j.job_id = p_job_id
        for no key update;
    end if;
    if v_before.ended_at is not null and (
        v_before.state <> 'failed' or stagebus.went_past(p_job_id, p_stage))
    then
        perform stagebus.raise_error(
            'SB120', format('stage %s of job %s cannot be set', p_stage, p_job_id),
            format('It is %s; only a stage that has not ended, or that failed and that its job '
                'has not gone past, is judged again.', v_before.state),
            'Retry its tasks with retry_tasks.');
    end if;
    if v_job_state = 'cancelled' then
        perform stagebus.raise_error(
            'SB120', format('stage %s of job %s cannot be set', p_stage, p_job_id),
            'Its job was cancelled.',
            'Take that back with undo_order first; the view orders has its number.');
    end if;
    if set_stage.deadline <= v_now then
        perform stagebus.raise_error(
            'SB116', format('the deadline %s has passed', set_stage.deadline),
            'A deadline lies ahead.',
            'Use cancel_stage to end a stage now, or ''infinity'' for no deadline.');
    end if;
    v_stage := v_before;
    begin
        v_stage.tolerated_failures := coalesce(
            set_stage.tolerated_failures, v_before.tolerated_failures);
        v_stage.deadline := coalesce(set_stage.deadline, v_before.deadline);
        v_stage.on_failure := coalesce(set_stage.on_failure, v_before.on_failure);
        update stages as s set
            tolerated_failures = v_stage.tolerated_failures,
            deadline = nullif(v_stage.deadline, 'infinity'),
            on_failure = v_stage.on_failure
        where s.job_id = p_job_id and s.stage = p_stage;
        if dry_run then
            perform stagebus.raise_error(
                'SB123', 'a dry run', 'The update was only tried.', 'Nothing.');
        end if;
    exception
        when sqlstate 'SB123' then
            null;
        when check_violation then
            get stacked diagnostics v_rule = constraint_name;
            perform stagebus.raise_error(
                'SB116', format('stage %s of job %s cannot be set', p_stage, p_job_id),
                format('The rule: %s.', replace(v_rule, '_', ' ')),
                'Pass e.g. tolerated_failures => ''5%'' or ''20'', on_failure => ''wait''.');
    end;
    v_state := case when v_before.ended_at is null then v_before.state
        else stagebus.stage_end_state(v_stage) end;
    v_fails := v_before.ended_at is not null and v_state = 'failed'
        and v_stage.on_failure = 'fail_job' and v_job_state = 'running';
    v_note := case
        when v_state <> v_before.state then format('the stage is %s now', v_state)
        when v_fails and v_planned
            then 'its job fails, when what does not wait for this stage is over'
        when v_fails then 'its job has failed now' end;
    if dry_run then
        return row(
            null, 'set_stage', 'dry run', p_job_id, p_stage, null, 0, 0,
            coalesce(v_note, 'its state stays'))::stagebus.order_report;
    end if;
    v_order_id := stagebus.begin_order(
        'set_stage', p_job_id, p_stage, null,
        jsonb_build_object(
            'before', jsonb_build_object(
                'tolerated_failures', v_before.tolerated_failures,
                'deadline', v_before.deadline, 'on_failure', v_before.on_failure),
            'after', jsonb_build_object(
                'tolerated_failures', v_stage.tolerated_failures,
                'deadline', nullif(v_stage.deadline, 'infinity'),
                'on_failure', v_stage.on_failure)),
        reason, 0);
    perform stagebus.end_order(v_order_id);
    if v_state <> v_before.state then
        perform stagebus.reopen_stage(p_job_id, p_stage);
        perform stagebus.end_stage(p_job_id, p_stage);
    elsif v_fails and v_planned then
        perform stagebus.make_due(p_job_id, p_stage);
    elsif v_fails then
        perform stagebus.end_job(p_job_id, 'failed');
    end if;
    return stagebus.report_order(v_order_id, v_note);
end;
$$;
comment on function stagebus.set_stage(
    uuid, integer, text, timestamptz, text, text, boolean) is
    'Sets how many failures the stage tolerates (''20'', ''5%''), its deadline (''infinity'': '
    'none) and what its failure does (fail_job, wait); what is left out stays. A failed stage that '
    'its job has not gone past is judged again, and its job may run on, or fail. Locks the stage, '
    'then the job. Raises SB105, SB115, SB116, SB120 (SB123 is caught inside).';
