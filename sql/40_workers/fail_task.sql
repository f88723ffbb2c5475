-- fail_tasks, for one.
create or replace function stagebus.fail_task(
    p_task_id text,
    p_token uuid,
    p_error text,
    retry boolean default true
) returns text
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    return (
        select f.verdict
        from stagebus.fail_tasks(array[p_task_id], p_token, array[p_error], fail_task.retry) as f);
end;
$$;
comment on function stagebus.fail_task(text, uuid, text, boolean) is
    'fail_tasks for one task: returns its verdict. Raises SB115, SB116.';
