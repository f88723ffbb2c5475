-- Stages are made without a lock on their job, so that its other stages may end meanwhile. What was
-- decided without it is looked at again under the lock. One that was reopened meanwhile and ended
-- again has another end: what was made may have read it in between.
create or replace function stagebus.lock_advanced_job(
    p_job stagebus_data.jobs,
    p_relied_on text[]
) returns void
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
set plan_cache_mode = force_generic_plan
as $$
declare
    v_job stagebus_data.jobs;
begin
    select j.* into strict v_job from jobs as j where j.job_id = p_job.job_id for no key update;
    if v_job.cancelling <> p_job.cancelling
        or (v_job.ended_at is null) <> (p_job.ended_at is null)
        or exists (
            select
            from unnest(p_relied_on) as r (seen)
            left join stages as s on s.job_id = p_job.job_id and s.ended_at is not null
                and format('%s %s', s.stage, s.ended_at) = r.seen
            where s.stage is null or stagebus.being_retried(s.job_id, s.stage))
    then
        perform stagebus.raise_error(
            'SB123', format('job %s was changed meanwhile', p_job.job_id),
            'What was made of it is undone.', 'Advance it again.');
    end if;
end;
$$;
comment on function stagebus.lock_advanced_job(stagebus_data.jobs, text[]) is
    'Locks the job. Raises SB123 when it is cancelled or over meanwhile, or one of the stages that '
    'were relied on, each given as its number and its end, is open, has another end, or is to be '
    'retried.';
