-- A job with a plan is due to be advanced. Told again before that is done, it is due anew: whoever
-- is at it may have looked before.
create or replace function stagebus.make_due(
    p_job_id uuid,
    p_stage integer
) returns void
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    insert into due_advances (job_id, stage, planned, due_since)
    values (p_job_id, p_stage, true, stagebus.clock())
    on conflict on constraint due_advances_pkey
        do update set due_since = excluded.due_since;
    perform pg_notify('stagebus_jobs', p_job_id::text);
end;
$$;
comment on function stagebus.make_due(uuid, integer) is
    'Has advance_job look at the job, after the end of p_stage (0: after anything else); notifies '
    'stagebus_jobs.';
