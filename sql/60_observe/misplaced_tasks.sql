-- Tasks that nothing would ever take on: no batch has them, no lease ends them, no time is set; and
-- the rows beside tasks that should be gone.
create or replace function stagebus.misplaced_tasks(p_job_id uuid)
returns table (stage integer, task_index integer, fault text)
language sql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
    select s.stage, u.task_index, 'in no batch'
    from stagebus_data.stages as s
    cross join lateral stagebus.unstarted_places(p_job_id, s.stage) as u
    where s.job_id = p_job_id and s.state not in ('filling', 'provisional')
        and u.published_through is null
    union all
    select t.stage, t.task_index, 'running without a lease'
    from stagebus_data.tasks as t
    where t.job_id = p_job_id and t.state = 'processing' and not exists (
        select from stagebus_data.running_attempts as r
        where r.job_id = p_job_id and r.stage = t.stage and r.task_index = t.task_index)
    union all
    select r.stage, r.task_index, 'leased without running'
    from stagebus_data.running_attempts as r
    where r.job_id = p_job_id and not exists (
        select from stagebus_data.tasks as t
        where t.job_id = p_job_id and t.stage = r.stage and t.task_index = r.task_index
            and t.state = 'processing')
    union all
    select t.stage, t.task_index, 'to be retried without a time'
    from stagebus_data.tasks as t
    where t.job_id = p_job_id and t.state = 'retry_wait' and not exists (
        select from stagebus_data.waiting_retries as w
        where w.job_id = p_job_id and w.stage = t.stage and w.task_index = t.task_index)
    union all
    select w.stage, w.task_index, 'timed without being retried'
    from stagebus_data.waiting_retries as w
    where w.job_id = p_job_id and not exists (
        select from stagebus_data.tasks as t
        where t.job_id = p_job_id and t.stage = w.stage and t.task_index = w.task_index
            and t.state = 'retry_wait');
$$;
comment on function stagebus.misplaced_tasks(uuid) is
    'A row for each task of the job, or row beside its tasks, that the rest does not bear out. '
    'Reads all its tasks.';
