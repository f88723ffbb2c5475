-- Whether the end of a stage has been acted on, so that its reopening can only be a repair.
create or replace function stagebus.went_past(
    p_job_id uuid,
    p_stage integer
) returns boolean
language sql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
    select exists (
        select from stagebus_data.stages as s where s.job_id = p_job_id and s.stage > p_stage)
    or exists (
        select
        from stagebus_data.jobs as j
        where j.job_id = p_job_id and j.state in ('completed', 'completed_with_errors'));
$$;
comment on function stagebus.went_past(uuid, integer) is
    'True when the job has a later stage or has completed.';
