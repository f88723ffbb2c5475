-- One step of retry_tasks.
create or replace function stagebus.work_retry_tasks(
    p_order stagebus_data.orders,
    p_limit integer
) returns void
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_now     timestamptz := stagebus.clock();
    v_status  text := p_order.details ->> 'status';
    v_left    integer := (p_order.details ->> 'at_most')::integer - p_order.tasks_done;
    v_stage   stagebus_data.stages;
    v_last    integer;
    v_matched integer[];
    v_errors  text[];
    v_indexes integer[];
begin
    select s.* into v_stage
    from stages as s
    where s.job_id = p_order.job_id and s.stage = p_order.stage;
    if v_stage.ended_at is null and v_stage.ending is not null or (
        select j.cancelling and j.ended_at is null
        from jobs as j
        where j.job_id = p_order.job_id)
    then
        -- It is being cancelled since: there is nothing more to retry.
        perform stagebus.end_order(p_order.order_id);
        return;
    end if;
    select max(r.task_index), array_agg(r.task_index) filter (where r.matches),
        array_agg(r.error) filter (where r.matches)
    into v_last, v_matched, v_errors
    from stagebus.retryable_tasks(
        v_stage, v_status, p_order.details -> 'parameters', p_order.details ->> 'error',
        p_order.index_reached, p_limit) as r;
    if v_last is null then
        perform stagebus.end_order(p_order.order_id);
        return;
    end if;

    -- Joined by all of the key, so that tasks are looked up by it before the table is analysed.
    with matched as materialized (
        select p_order.job_id as job_id, p_order.stage as stage, m.task_index, m.error
        from unnest(v_matched, v_errors) as m (task_index, error)
    )
    select array_agg(l.task_index), array_agg(l.error) into v_indexes, v_errors
    from (
        select t.task_index, m.error
        from matched as m
        join tasks as t on t.job_id = m.job_id and t.stage = m.stage
            and t.task_index = m.task_index
        where t.state = v_status
        order by t.task_index
        limit v_left
        for no key update of t
    ) as l;
    if v_status = 'retry_wait' then
        update waiting_retries as w set due_at = least(w.due_at, v_now)
        where w.job_id = p_order.job_id and w.stage = p_order.stage
            and w.task_index = any (v_indexes);
    else
        with listed as materialized (
            select p_order.job_id as job_id, p_order.stage as stage, m.task_index, m.error
            from unnest(v_indexes, v_errors) as m (task_index, error)
        ),
        retried as (
            update tasks as t set state = 'retry_wait', attempt = t.attempt + 1
            from listed as l
            where t.job_id = l.job_id and t.stage = l.stage and t.task_index = l.task_index
                and t.state = v_status
        ),
        unlisted as (
            delete from failed_tasks as f
            using listed as l
            where f.job_id = l.job_id and f.stage = l.stage and f.task_index = l.task_index
        )
        insert into waiting_retries (job_id, stage, task_index, due_at, error)
        select l.job_id, l.stage, l.task_index, v_now, l.error
        from listed as l;
        perform stagebus.count_reopened_tasks(p_order.job_id, p_order.stage, v_indexes, v_status);
    end if;
    update orders as o set
        tasks_done = o.tasks_done + coalesce(cardinality(v_indexes), 0),
        index_reached = v_last
    where o.order_id = p_order.order_id;
    if v_left <= cardinality(v_indexes) then
        perform stagebus.end_order(p_order.order_id);
    end if;
end;
$$;
comment on function stagebus.work_retry_tasks(stagebus_data.orders, integer) is
    'Looks at up to p_limit tasks and makes the next attempt of those that match due now; ends '
    'the order when there is none left. Locks tasks, slots, groups, the stage, the job.';
