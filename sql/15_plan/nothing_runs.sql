-- Whether all that a job can do is done, but for its final stage.
create or replace function stagebus.nothing_runs(p_job_id uuid) returns boolean
language plpgsql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    return not exists (
        select
        from stages as s
        where s.job_id = p_job_id
            and (s.ended_at is null or stagebus.being_retried(p_job_id, s.stage)))
    and (
        (select j.cancelling from jobs as j where j.job_id = p_job_id)
        or not exists (select from stagebus.ready_stages(p_job_id))
        and not exists (
            select
            from stages as s
            where s.job_id = p_job_id and s.state = 'failed' and s.on_failure = 'wait'));
end;
$$;
comment on function stagebus.nothing_runs(uuid) is
    'True when no stage of a job with a plan runs, can begin, or failed and waits for an operator; '
    'of a job that is being cancelled when none runs.';
