-- A stage that had ended has open tasks again. If its job has not gone past it, it is as if it had
-- never ended; if it has, this is a repair: it changes counts, and its end advances nothing.
create or replace function stagebus.reopen_stage(
    p_job_id uuid,
    p_stage integer
) returns void
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_now timestamptz := stagebus.clock();
    v_job stagebus_data.jobs;
begin
    update stages as s set
        state = 'open',
        ended_at = null,
        ending = null,
        -- A deadline that has passed would end it again at once.
        deadline = case when s.deadline > v_now then s.deadline end
    where s.job_id = p_job_id and s.stage = p_stage
        and s.state in ('completed', 'completed_with_errors', 'failed', 'cancelled');
    if not found then
        return;
    end if;
    -- The lock decides against open_stage and finish_job, which look at stages under it.
    select j.* into strict v_job from jobs as j where j.job_id = p_job_id for no key update;
    if v_job.cancelling and v_job.ended_at is null then
        perform stagebus.raise_error(
            'SB120', format('stage %s of job %s cannot be reopened', p_stage, p_job_id),
            'Its job is being cancelled.',
            'Take that back with undo_order; the view orders has its number.');
    end if;
    if stagebus.went_past(p_job_id, p_stage) then
        update stages as s set repair = true where s.job_id = p_job_id and s.stage = p_stage;
        return;
    end if;
    -- Written also where nothing changes: an open_stage that looked before us, in a transaction
    -- with an older snapshot, then fails to serialise.
    update jobs as j set state = 'running', cancelling = false, ended_at = null
    where j.job_id = p_job_id and j.state in ('running', 'failed', 'cancelled');
    delete from due_advances as d where d.job_id = p_job_id and d.stage = p_stage;
    if v_job.state = 'cancelled' and v_job.plan_version is not null then
        -- What had not begun when it was cancelled need not wait for this stage.
        perform stagebus.make_due(p_job_id, 0);
    end if;
end;
$$;
comment on function stagebus.reopen_stage(uuid, integer) is
    'Opens a stage that ended (one that completed only if its counters were wrong), and with it a '
    'job that failed or was cancelled at this stage. Locks the stage, then the job. Raises SB120.';
