-- How a job with a plan ends when nothing of it is left to do.
create or replace function stagebus.planned_end_state(p_job_id uuid) returns text
language plpgsql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    return (
        select case
            when j.cancelling then 'cancelled'
            when exists (
                select from stages as s where s.job_id = p_job_id and s.state = 'failed')
                then 'failed'
            when exists (
                select from stages as s where s.job_id = p_job_id and s.state <> 'completed')
                then 'completed_with_errors'
            else 'completed' end
        from jobs as j
        where j.job_id = p_job_id);
end;
$$;
comment on function stagebus.planned_end_state(uuid) is
    'cancelled, failed (one of its stages has), completed_with_errors or completed.';
