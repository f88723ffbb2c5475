-- The last task of a stage has ended. Its job is due to advance, has failed with it, or was only
-- waiting for it to be cancelled; whoever listens may know.
create or replace function stagebus.end_stage(
    p_job_id uuid,
    p_stage integer
) returns void
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_now   timestamptz := stagebus.clock();
    v_stage stagebus_data.stages;
    v_job   record;
begin
    update stages as s set state = stagebus.stage_end_state(s), ended_at = v_now
    where s.job_id = p_job_id and s.stage = p_stage and s.state = 'open'
    returning s.* into strict v_stage;
    select j.cancelling, j.plan_version is not null as planned, j.ended_at into v_job
    from jobs as j
    where j.job_id = p_job_id;
    if v_job.cancelling then
        perform stagebus.end_cancelled_job(p_job_id);
    elsif v_job.planned and v_job.ended_at is null then
        -- Also after a repair, which its job may have waited for with its end.
        perform stagebus.make_due(p_job_id, p_stage);
    end if;
    if not v_job.cancelling and not v_stage.repair then
        if (
            select ty.job_messages from task_types as ty where ty.task_type = v_stage.task_type)
        then
            perform stagebus.publish_job_message(
                p_job_id, 'stage_ended', p_stage, v_stage.state);
        end if;
        if v_job.planned then
            null;
        elsif v_stage.state <> 'failed' then
            insert into due_advances (job_id, stage, due_since) values (p_job_id, p_stage, v_now);
        elsif v_stage.on_failure = 'fail_job' then
            perform stagebus.end_job(p_job_id, 'failed');
        end if;
    end if;
    perform pg_notify('stagebus_jobs', p_job_id::text);
end;
$$;
comment on function stagebus.end_stage(uuid, integer) is
    'Ends a stage that has no open task left. The job is then due to advance; of a failed stage, '
    'and without a plan, it fails or waits for an operator, as on_failure says; a repair advances '
    'nothing. Notifies stagebus_jobs with the job''s id. Locks the stage, the job.';
