-- One step of cancelling a stage: first its batches, then its tasks, in index order. What came
-- back behind the step (a retry between two of them) is found by going over it once more.
create or replace function stagebus.work_cancelling(
    p_order stagebus_data.orders,
    p_limit integer
) returns void
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_stage     integer;
    v_batches   integer := 0;
    v_batch     stagebus_data.batches;
    v_last      integer;
    v_cancelled integer[];
begin
    select s.stage into v_stage
    from stages as s
    where s.job_id = p_order.job_id and s.stage = coalesce(p_order.stage, s.stage)
        and s.ended_at is null and s.ending in ('cancel', 'deadline')
    order by s.stage
    limit 1;
    if not found then
        perform stagebus.end_order(p_order.order_id);
        return;
    end if;

    for v_batch in
        select b.*
        from batches as b
        where b.job_id = p_order.job_id and b.stage = v_stage and b.kind = 'tasks'
            and b.state in ('pending_queue', 'publishing', 'held', 'failed')
        order by b.batch_id
        limit p_limit
        for no key update
    loop
        perform stagebus.record_unreported_send(
            v_batch.job_id, v_batch.batch_id, 'the batch was cancelled before the bridge reported');
        update batches as b set
            state = 'cancelled',
            claim_epoch = b.claim_epoch + 1,
            claimed_by = null,
            lease_until = null
        where b.job_id = v_batch.job_id and b.batch_id = v_batch.batch_id
            and b.state in ('pending_queue', 'publishing', 'held', 'failed');
        v_batches := v_batches + 1;
    end loop;
    if v_batches > 0 then
        update orders as o set batches_done = o.batches_done + v_batches
        where o.order_id = p_order.order_id;
        return;
    end if;

    -- Whose stage this is was decided without a lock; the task's own row decides the rest.
    select max(l.task_index), coalesce(array_agg(l.task_index) filter (
        where l.state is null or l.state in ('processing', 'retry_wait')), array[]::integer[])
    into v_last, v_cancelled
    from (
        select t.task_index, t.state
        from tasks as t
        where t.job_id = p_order.job_id and t.stage = v_stage
            and t.task_index > case when p_order.stage_reached = v_stage
                then p_order.index_reached else 0 end
        order by t.task_index
        limit p_limit
        for no key update
    ) as l;
    if v_cancelled is not null then
        -- Joined by all of the key, so that tasks are looked up by it before the table is analysed.
        with listed as materialized (
            select p_order.job_id as job_id, v_stage as stage, i as task_index
            from unnest(v_cancelled) as i
        ),
        stopped as (
            delete from running_attempts as r
            using listed as l
            where r.job_id = l.job_id and r.stage = l.stage and r.task_index = l.task_index
        ),
        unscheduled as (
            delete from waiting_retries as w
            using listed as l
            where w.job_id = l.job_id and w.stage = l.stage and w.task_index = l.task_index
        )
        update tasks as t set state = 'cancelled'
        from listed as l
        where t.job_id = l.job_id and t.stage = l.stage and t.task_index = l.task_index
            and (t.state is null or t.state in ('processing', 'retry_wait'));
        perform stagebus.count_ended_tasks(
            array_fill(p_order.job_id, array[cardinality(v_cancelled)]),
            array_fill(v_stage, array[cardinality(v_cancelled)]), v_cancelled, 'cancelled');
    end if;
    update orders as o set
        tasks_done = o.tasks_done + coalesce(cardinality(v_cancelled), 0),
        stage_reached = v_stage,
        index_reached = coalesce(v_last, 0)
    where o.order_id = p_order.order_id;
end;
$$;
comment on function stagebus.work_cancelling(stagebus_data.orders, integer) is
    'Cancels up to p_limit batches, or looks at up to p_limit tasks, of the first stage that the '
    'order still ends; ends the order when there is none. Locks tasks or batches, counters, the '
    'stage, the job.';
