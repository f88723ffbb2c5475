-- A job with a plan has waited for the end of an order to retry tasks.
create or replace function stagebus.advance_after_retry(p_job_id uuid) returns void
language sql
set search_path = stagebus_data, stagebus, pg_temp
as $$
    select stagebus.make_due(j.job_id, 0)
    from stagebus_data.jobs as j
    where j.job_id = p_job_id and j.plan_version is not null and j.ended_at is null;
$$;
comment on function stagebus.advance_after_retry(uuid) is
    'Has advance_job look at a job with a plan that has not ended.';
