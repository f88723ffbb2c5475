-- What the tasks of a planned stage brought home, for the functions of a plan, which know names.
create or replace function stagebus.stage_results_by_name(
    p_job_id uuid,
    p_name text
) returns table (stage integer, group_value text, task_index integer, result jsonb)
language sql
stable
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
    select s.stage, s.group_value, t.task_index, t.result
    from stages as s
    join tasks as t on t.job_id = s.job_id and t.stage = s.stage
    where s.job_id = p_job_id and s.name = p_name and t.job_id = p_job_id
        and t.state = 'completed'
    order by s.stage, t.task_index;
$$;
comment on function stagebus.stage_results_by_name(uuid, text) is
    'The results of the completed tasks of all stages of that name, in order; null for a task that '
    'completed without one.';
