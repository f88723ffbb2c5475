-- heartbeat_tasks, for one.
create or replace function stagebus.heartbeat_task(
    p_task_id text,
    p_token uuid
) returns timestamptz
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    return (
        select h.lease_until from stagebus.heartbeat_tasks(array[p_task_id], p_token) as h);
end;
$$;
comment on function stagebus.heartbeat_task(text, uuid) is
    'The new end of the lease, or null when the task is no longer the token''s.';
