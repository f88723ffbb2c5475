-- Changes what a stage tolerates, while it runs, or after it failed: then it is judged again, and
-- its job may go on.
create or replace function stagebus.set_stage(
    p_job_id uuid,
    p_stage integer,
    tolerated_failures text default null,
    deadline timestamptz default null,
    on_failure text default null,
    reason text default null
) returns stagebus.order_report
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_now      timestamptz := stagebus.clock();
    v_before   stagebus_data.stages := stagebus.lock_stage(p_job_id, p_stage);
    v_stage    stagebus_data.stages;
    v_state    text;
    v_order_id bigint;
    v_rule     text;
begin
    perform stagebus.require_read_committed('set_stage');
    if v_before.ended_at is not null and (
        v_before.state <> 'failed' or stagebus.went_past(p_job_id, p_stage))
    then
        perform stagebus.raise_error(
            'SB120', format('stage %s of job %s cannot be set', p_stage, p_job_id),
            format('It is %s; only a stage that has not ended, or that failed and that its job '
                'has not gone past, is judged again.', v_before.state),
            'Retry its tasks with retry_tasks.');
    end if;
    if set_stage.deadline <= v_now then
        perform stagebus.raise_error(
            'SB116', format('the deadline %s has passed', set_stage.deadline),
            'A deadline lies ahead.',
            'Use cancel_stage to end a stage now, or ''infinity'' for no deadline.');
    end if;
    v_stage := v_before;
    v_stage.tolerated_failures := coalesce(
        set_stage.tolerated_failures, v_before.tolerated_failures);
    v_stage.deadline := coalesce(set_stage.deadline, v_before.deadline);
    v_stage.on_failure := coalesce(set_stage.on_failure, v_before.on_failure);
    begin
        update stages as s set
            tolerated_failures = v_stage.tolerated_failures,
            deadline = nullif(v_stage.deadline, 'infinity'),
            on_failure = v_stage.on_failure
        where s.job_id = p_job_id and s.stage = p_stage;
    exception when check_violation then
        get stacked diagnostics v_rule = constraint_name;
        perform stagebus.raise_error(
            'SB116', format('stage %s of job %s cannot be set', p_stage, p_job_id),
            format('The rule: %s.', replace(v_rule, '_', ' ')),
            'Pass e.g. tolerated_failures => ''5%'' or ''20'', on_failure => ''wait''.');
    end;
    v_state := case when v_before.ended_at is null then v_before.state
        else stagebus.stage_end_state(v_stage) end;
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
    end if;
    return stagebus.report_order(v_order_id, case
        when v_state <> v_before.state then format('the stage is %s now', v_state) end);
end;
$$;
comment on function stagebus.set_stage(uuid, integer, text, timestamptz, text, text) is
    'Sets how many failures the stage tolerates (''20'', ''5%''), its deadline (''infinity'': '
    'none) and what its failure does (fail_job, wait); what is left out stays. A failed stage that '
    'its job has not gone past is judged again. Locks the stage, then the job. '
    'Raises SB105, SB115, SB116, SB120.';
