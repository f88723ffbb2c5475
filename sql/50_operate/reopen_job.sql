-- A cancelled job that has stages left to come, or one that only waits for a stage to be withdrawn:
-- it runs again, and is due to advance after its last stage if that has ended.
create or replace function stagebus.reopen_job(p_job_id uuid) returns void
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_now     timestamptz := stagebus.clock();
    v_planned boolean;
    v_last    stagebus_data.stages;
begin
    select j.plan_version is not null into v_planned
    from jobs as j
    where j.job_id = p_job_id
    for no key update;
    select s.* into v_last
    from stages as s
    where s.job_id = p_job_id
    order by s.stage desc
    limit 1;
    update jobs as j set
        state = case when v_last.stage is null then 'created' else 'running' end,
        started_at = case when v_last.stage is not null then j.started_at end,
        cancelling = false,
        ended_at = null
    where j.job_id = p_job_id and (
        j.state = 'cancelled' or j.cancelling and j.state in ('created', 'running'));
    if found and v_planned then
        perform stagebus.make_due(p_job_id, 0);
    elsif found and v_last.ended_at is not null and v_last.state <> 'failed' then
        insert into due_advances (job_id, stage, due_since)
        values (p_job_id, v_last.stage, v_now);
    end if;
end;
$$;
comment on function stagebus.reopen_job(uuid) is
    'Sets a cancelled job running again; any other stays as it is. Locks the job.';
