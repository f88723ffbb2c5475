-- Everything that works on several tasks locks them first, in key order, and reads them after.
create or replace function stagebus.lock_tasks(p_task_ids text[]) returns void
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    perform from (
        select
        from stagebus.parse_task_ids(p_task_ids) as i
        join tasks as t on t.job_id = i.job_id and t.stage = i.stage
            and t.task_index = i.task_index
        order by t.job_id, t.stage, t.task_index
        for no key update of t
    ) as locked;
end;
$$;
comment on function stagebus.lock_tasks(text[]) is 'Locks those of the tasks that exist.';
