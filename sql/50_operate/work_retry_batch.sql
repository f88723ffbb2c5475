-- One step of retry_batch with unfinished => true: attempts that run are ended, and the next is
-- due.
create or replace function stagebus.work_retry_batch(
    p_order stagebus_data.orders,
    p_limit integer
) returns void
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_now     timestamptz := stagebus.clock();
    v_batch   stagebus_data.batches;
    v_last    integer;
    v_found   integer[];
    v_retried integer;
begin
    select b.* into v_batch
    from batches as b
    where b.job_id = p_order.job_id and b.batch_id = p_order.batch_id;
    select max(r), array_agg(r) into v_last, v_found
    from stagebus.running_in_batch(v_batch, p_order.index_reached, p_limit) as r;
    if v_last is null then
        perform stagebus.end_order(p_order.order_id);
        return;
    end if;
    perform from (
        select
        from tasks as t
        where t.job_id = p_order.job_id and t.stage = v_batch.stage
            and t.task_index = any (v_found)
        order by t.task_index
        for no key update
    ) as locked;
    with ended as (
        -- Not what was started after the order.
        delete from running_attempts as r
        where r.job_id = p_order.job_id and r.stage = v_batch.stage
            and r.task_index = any (v_found) and r.started_at <= p_order.ordered_at
        returning r.task_index
    ),
    retried as (
        update tasks as t set state = 'retry_wait', attempt = t.attempt + 1
        from ended as e
        where t.job_id = p_order.job_id and t.stage = v_batch.stage
            and t.task_index = e.task_index and t.state = 'processing'
        returning t.task_index
    ),
    waiting as (
        insert into waiting_retries (job_id, stage, task_index, due_at, error)
        select p_order.job_id, v_batch.stage, r.task_index, v_now,
            format('order %s ended the attempt', p_order.order_id)
        from retried as r
        returning task_index
    )
    select count(*)::integer into v_retried from waiting;
    update orders as o set
        tasks_done = o.tasks_done + v_retried,
        index_reached = v_last
    where o.order_id = p_order.order_id;
end;
$$;
comment on function stagebus.work_retry_batch(stagebus_data.orders, integer) is
    'Ends up to p_limit attempts of the batch that ran when it was ordered; ends the order when '
    'none is left. Locks tasks.';
