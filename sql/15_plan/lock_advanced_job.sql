-- Stages are made without a lock on their job, so that its other stages may end meanwhile. What was
-- decided without it is looked at again under the lock.
create or replace function stagebus.lock_advanced_job(
    p_job stagebus_data.jobs,
    p_relied_on text[]
) returns void
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_job stagebus_data.jobs;
begin
    select j.* into strict v_job from jobs as j where j.job_id = p_job.job_id for no key update;
    if v_job.cancelling <> p_job.cancelling
        or (v_job.ended_at is null) <> (p_job.ended_at is null)
        or exists (
            select from stages as s
            where s.job_id = p_job.job_id and s.name = any (p_relied_on)
                and (s.ended_at is null or s.state = 'failed'))
    then
        perform stagebus.raise_error(
            'SB123', format('job %s was changed meanwhile', p_job.job_id),
            'What was made of it is undone.', 'Advance it again.');
    end if;
end;
$$;
comment on function stagebus.lock_advanced_job(stagebus_data.jobs, text[]) is
    'Locks the job. Raises SB123 when it is cancelled or over meanwhile, or one of the stages that '
    'were relied on as over was reopened.';
