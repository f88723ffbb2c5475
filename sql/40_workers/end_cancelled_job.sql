-- A job that is being cancelled ends with the last of its stages; the final stage of its plan
-- begins then, and it ends with that.
create or replace function stagebus.end_cancelled_job(p_job_id uuid) returns void
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    -- Of two last stages that end at once, the second to come here sees the first one's end.
    perform from jobs as j where j.job_id = p_job_id for no key update;
    if exists (select from stages as s where s.job_id = p_job_id and s.ended_at is null) then
        return;
    end if;
    if not exists (select from stagebus.final_stage(p_job_id)) then
        perform stagebus.end_job(p_job_id, 'cancelled');
    else
        perform stagebus.make_due(p_job_id, 0);
    end if;
end;
$$;
comment on function stagebus.end_cancelled_job(uuid) is
    'Ends the job as cancelled if none of its stages is left, or has it advance to its final one. '
    'Locks the job.';
