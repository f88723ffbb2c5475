-- A job of a type that has a plan: the only call. Its first stages are made by whoever advances it,
-- a bridge within moments, so that an error in the plan is on the job and not the caller's.
create or replace function stagebus.submit_job(
    p_job_type text,
    parameters jsonb default '{}',
    dedupe_key text default null
) returns uuid
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_now  timestamptz := stagebus.clock();
    v_plan stagebus_data.plans := stagebus.latest_plan(p_job_type);
    v_job  record;
begin
    select a.* into v_job
    from stagebus.add_job(
        p_job_type, submit_job.parameters, submit_job.dedupe_key, v_plan.version) as a;
    if v_job.is_new then
        insert into job_advances (job_id, next_try_at) values (v_job.job_id, v_now);
        perform stagebus.make_due(v_job.job_id, 0);
    end if;
    return v_job.job_id;
end;
$$;
comment on function stagebus.submit_job(text, jsonb, text) is
    'Creates a job that the latest plan of its type advances, and returns its id; a dedupe key '
    'that was used before returns that job''s id. Notifies stagebus_jobs. '
    'Raises SB109, SB111, SB115, SB116, SB118, SB127, SB143.';
