-- A job is no longer being cancelled: it goes on, and what ended meanwhile is acted on.
create or replace function stagebus.go_on_with_job(p_job_id uuid) returns void
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_planned boolean;
begin
    update jobs as j set cancelling = false
    where j.job_id = p_job_id and j.cancelling and j.ended_at is null
    returning j.plan_version is not null into v_planned;
    if v_planned then
        perform stagebus.make_due(p_job_id, 0);
    end if;
end;
$$;
comment on function stagebus.go_on_with_job(uuid) is
    'Ends the cancelling of a job that has not ended, which is then due to advance if it has a '
    'plan. Locks the job; the caller has locked the stages that it goes on with.';
