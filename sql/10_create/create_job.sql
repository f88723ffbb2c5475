-- A job whose controller makes the stages, each with one of the calls below.
create or replace function stagebus.create_job(
    p_job_type text,
    parameters jsonb default '{}',
    dedupe_key text default null
) returns uuid
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    return (
        select a.job_id
        from stagebus.add_job(p_job_type, create_job.parameters, create_job.dedupe_key, null) as a);
end;
$$;
comment on function stagebus.create_job(text, jsonb, text) is
    'Creates a job and returns its id; a dedupe key that was used before returns that job''s id. '
    'Makes the week''s partition of tasks where it is missing. '
    'Raises SB109, SB111, SB115, SB116, SB118, SB127.';
