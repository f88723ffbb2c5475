-- start_tasks, for one.
create or replace function stagebus.start_task(
    p_task_id text,
    p_attempt integer,
    p_nonce text,
    p_token uuid,
    worker text default null
) returns table (
    task_id text,
    verdict text,
    parameters jsonb,
    lease_until timestamptz,
    ask_again_after interval
)
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    return query
    select s.task_id, s.verdict, s.parameters, s.lease_until, s.ask_again_after
    from stagebus.start_tasks(
        array[p_task_id], array[p_attempt], array[p_nonce], p_token, worker) as s;
end;
$$;
comment on function stagebus.start_task(text, integer, text, uuid, text) is
    'start_tasks for one task.';
