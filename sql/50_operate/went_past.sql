-- Whether the end of a stage has been acted on, so that its reopening can only be a repair.
create or replace function stagebus.went_past(
    p_job_id uuid,
    p_stage integer
) returns boolean
language plpgsql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    return exists (
        select
        from stagebus_data.jobs as j
        where j.job_id = p_job_id and j.state in ('completed', 'completed_with_errors'))
    or exists (
        select
        from stagebus_data.stages as s
        where s.job_id = p_job_id and s.stage > p_stage and s.name is null)
    or exists (
        -- Of a plan: a stage that waited for this one, or for all.
        select
        from stagebus_data.jobs as j
        join stagebus_data.stages as s on s.job_id = j.job_id and s.stage = p_stage
        join stagebus_data.plan_stages as ps on ps.job_type = j.job_type
            and ps.version = j.plan_version
            and (ps.waits_for is null or s.name = any (ps.waits_for))
        join stagebus_data.stages as later on later.job_id = j.job_id and later.name = ps.name
        where j.job_id = p_job_id and ps.name <> s.name);
end;
$$;
comment on function stagebus.went_past(uuid, integer) is
    'True when the job has completed, or has a later stage: by its plan, where it has one.';
