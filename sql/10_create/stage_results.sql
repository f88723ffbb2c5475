-- What the tasks of a stage brought home, in their order.
create or replace function stagebus.stage_results(
    p_job_id uuid,
    p_stage integer
) returns table (task_index integer, result jsonb)
language sql
stable
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
    select t.task_index, t.result
    from tasks as t
    where t.job_id = p_job_id and t.stage = p_stage and t.state = 'completed'
    order by t.task_index;
$$;
comment on function stagebus.stage_results(uuid, integer) is
    'The results of a stage''s completed tasks; null for a task that completed without one.';
