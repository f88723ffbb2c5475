-- The one place where a job ends.
create or replace function stagebus.end_job(
    p_job_id uuid,
    p_state text
) returns void
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_now timestamptz := stagebus.clock();
begin
    update jobs as j set
        state = p_state,
        started_at = coalesce(j.started_at, v_now),
        ended_at = v_now
    where j.job_id = p_job_id and j.state in ('created', 'running');
    if not found then
        return;
    end if;
    delete from due_advances as d where d.job_id = p_job_id;
    if exists (
        select
        from stages as s
        join task_types as ty on ty.task_type = s.task_type
        where s.job_id = p_job_id and ty.job_messages)
    then
        perform stagebus.publish_job_message(p_job_id, 'job_ended', null, p_state);
    end if;
    perform pg_notify('stagebus_jobs', p_job_id::text);
end;
$$;
comment on function stagebus.end_job(uuid, text) is
    'Ends a job that has not ended, in p_state; an ended one stays as it is. Locks the job.';
