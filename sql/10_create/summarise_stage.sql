-- What every call that makes a stage returns.
create or replace function stagebus.summarise_stage(
    p_job_id uuid,
    p_stage integer
) returns stagebus.stage_summary
language plpgsql
stable
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    return (
        select row(
            s.job_id, s.stage, s.task_count, s.batch_count, s.body_bytes)::stagebus.stage_summary
        from stages as s
        where s.job_id = p_job_id and s.stage = p_stage);
end;
$$;
comment on function stagebus.summarise_stage(uuid, integer) is
    'The summary of a stage, or null where there is none.';
