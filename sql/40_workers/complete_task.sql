-- complete_tasks, for one.
create or replace function stagebus.complete_task(
    p_task_id text,
    p_token uuid,
    result jsonb default null
) returns text
language sql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
    select c.verdict
    from stagebus.complete_tasks(array[p_task_id], p_token, array[complete_task.result]) as c;
$$;
comment on function stagebus.complete_task(text, uuid, jsonb) is
    'complete_tasks for one task: returns its verdict. Raises SB115, SB117, SB118.';
