-- The stage that begins when all others are over, as long as it has not begun.
create or replace function stagebus.final_stage(p_job_id uuid)
returns setof stagebus_data.plan_stages
language plpgsql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    return query
    select ps.*
    from jobs as j
    join plan_stages as ps on ps.job_type = j.job_type and ps.version = j.plan_version
    where j.job_id = p_job_id and ps.waits_for is null
        and not exists (
            select from stages as s where s.job_id = p_job_id and s.name = ps.name);
end;
$$;
comment on function stagebus.final_stage(uuid) is
    'The final stage of a job''s plan, if it has one that has not begun.';
