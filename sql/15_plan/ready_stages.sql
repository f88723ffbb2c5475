-- What can begin: stages of the plan that are not there yet and for which all that they wait for,
-- directly or not, is over. What waits for one that failed does not begin.
create or replace function stagebus.ready_stages(p_job_id uuid)
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
    where j.job_id = p_job_id and ps.waits_for is not null
        and not exists (
            select from stages as s where s.job_id = p_job_id and s.name = ps.name)
        and not exists (
            select
            from unnest(ps.waits_for) as w (name)
            left join stages as s on s.job_id = p_job_id and s.name = w.name
            where s.ended_at is null or s.state = 'failed')
        and not exists (
            select
            from stagebus.stages_before(p_job_id, ps.waits_for) as b
            where b.ended_at is null or stagebus.being_retried(p_job_id, b.stage))
    order by ps.stage;
end;
$$;
comment on function stagebus.ready_stages(uuid) is
    'The stages of a job''s plan that can begin; never the final one.';
