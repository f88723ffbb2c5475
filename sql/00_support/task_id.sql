-- A task's id is derived, never stored: {job_id}-s{stage}-{task_index}.
create or replace function stagebus.task_id(
    p_job_id uuid,
    p_stage integer,
    p_task_index integer
) returns text
language plpgsql
immutable
strict
parallel safe
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    return p_job_id::text || '-s' || p_stage::text || '-' || p_task_index::text;
end;
$$;
comment on function stagebus.task_id(uuid, integer, integer) is
    'The text id of a task, as messages and workers know it.';
