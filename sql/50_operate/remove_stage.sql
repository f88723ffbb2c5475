-- The last of a withdrawn stage. Its job is as before: due to advance after the stage before, or
-- not begun; one that is being cancelled may have waited for it.
create or replace function stagebus.remove_stage(
    p_job_id uuid,
    p_stage integer
) returns void
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_now    timestamptz := stagebus.clock();
    v_job    stagebus_data.jobs;
    v_before stagebus_data.stages;
begin
    perform
    from stages as s
    where s.job_id = p_job_id and s.stage <= p_stage
    order by s.stage
    for update;
    delete from counter_groups as g where g.job_id = p_job_id and g.stage = p_stage;
    delete from stages as s
    where s.job_id = p_job_id and s.stage = p_stage
        and s.state = 'provisional' and s.ending = 'withdraw';
    select j.* into strict v_job from jobs as j where j.job_id = p_job_id for no key update;
    if v_job.cancelling then
        perform stagebus.end_cancelled_job(p_job_id);
        return;
    end if;
    -- A retry that reopened it meanwhile was a repair only because of the stage that is gone.
    update stages as s set repair = false
    where s.job_id = p_job_id and s.stage = (
        select max(l.stage) from stages as l where l.job_id = p_job_id)
    returning s.* into v_before;
    if not found then
        update jobs as j set state = 'created', started_at = null
        where j.job_id = p_job_id and j.state = 'running';
    elsif v_before.ended_at is null then
        return;
    elsif v_before.state <> 'failed' then
        insert into due_advances (job_id, stage, due_since)
        values (p_job_id, v_before.stage, v_now)
        on conflict on constraint due_advances_pkey do nothing;
    elsif v_before.on_failure = 'fail_job' then
        perform stagebus.end_job(p_job_id, 'failed');
    end if;
end;
$$;
comment on function stagebus.remove_stage(uuid, integer) is
    'Deletes a withdrawn stage that has nothing left, and sets its job to what it was without it. '
    'Locks the stages up to it, then the job.';
