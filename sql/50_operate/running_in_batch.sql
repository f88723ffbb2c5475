-- The attempts that run of a batch's tasks, in index order.
create or replace function stagebus.running_in_batch(
    p_batch stagebus_data.batches,
    p_after_index integer,
    p_limit integer
) returns setof integer
language sql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
    select r.task_index
    from stagebus_data.running_attempts as r
    left join stagebus_data.batch_members as m on m.job_id = r.job_id and m.stage = r.stage
        and m.task_index = r.task_index
    where r.job_id = p_batch.job_id and r.stage = p_batch.stage
        and r.task_index between p_batch.first_index and p_batch.last_index
        and r.task_index > p_after_index
        and case when p_batch.scattered then m.batch_id = p_batch.batch_id
            else m.batch_id is null end
    order by r.task_index
    limit p_limit;
$$;
comment on function stagebus.running_in_batch(stagebus_data.batches, integer, integer) is
    'The indexes of up to p_limit tasks of the batch that run, from the one after p_after_index.';
