-- A job that is being cancelled ends with the last of its stages.
create or replace function stagebus.end_cancelled_job(p_job_id uuid) returns void
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    -- Of two last stages that end at once, the second to come here sees the first one's end.
    perform from jobs as j where j.job_id = p_job_id for no key update;
    if not exists (
        select from stages as s where s.job_id = p_job_id and s.ended_at is null)
    then
        perform stagebus.end_job(p_job_id, 'cancelled');
    end if;
end;
$$;
comment on function stagebus.end_cancelled_job(uuid) is
    'Ends the job as cancelled if none of its stages is left. Locks the job.';
