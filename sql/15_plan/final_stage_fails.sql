-- A job that is being cancelled would wait for ever for a final stage that cannot be made.
create or replace function stagebus.final_stage_fails(p_job_id uuid) returns boolean
language plpgsql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    return exists (
        select
        from stagebus_data.job_advances as a
        join stagebus.final_stage(p_job_id) as f on f.name = a.stage_name
        where a.job_id = p_job_id and a.failures > 0);
end;
$$;
comment on function stagebus.final_stage_fails(uuid) is
    'True when the last try to make the final stage of a job''s plan has failed.';
