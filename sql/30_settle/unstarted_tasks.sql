-- How much of a batch no worker has started.
create or replace function stagebus.unstarted_tasks(p_batch stagebus_data.batches) returns integer
language sql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
    select count(*)::integer
    from (
        select
        from stagebus_data.tasks as t
        where not p_batch.scattered
            and t.job_id = p_batch.job_id and t.stage = p_batch.stage
            and t.task_index between p_batch.first_index and p_batch.last_index
            and t.state is null
            and not exists (
                select from stagebus_data.batch_members as m
                where m.job_id = t.job_id and m.stage = t.stage and m.task_index = t.task_index)
        union all
        select
        from stagebus_data.batch_members as m
        join stagebus_data.tasks as t on t.job_id = m.job_id and t.stage = m.stage
            and t.task_index = m.task_index
        where p_batch.scattered and m.job_id = p_batch.job_id and m.batch_id = p_batch.batch_id
            and t.job_id = p_batch.job_id and t.state is null
    ) as unstarted;
$$;
comment on function stagebus.unstarted_tasks(stagebus_data.batches) is
    'How many tasks of the batch no worker has started; reads all of its tasks.';
