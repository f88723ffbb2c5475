-- A stage has ended: its job is due to advance, and whoever listens may know.
create or replace function stagebus.announce_stage_end(
    p_job_id uuid,
    p_stage integer
) returns void
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    insert into due_advances (job_id, stage, due_since)
    values (p_job_id, p_stage, stagebus.clock());
    perform pg_notify('stagebus_jobs', p_job_id::text);
end;
$$;
comment on function stagebus.announce_stage_end(uuid, integer) is
    'Records that the job is due to advance and notifies stagebus_jobs with the job''s id.';
