-- The tasks that retry_tasks looks at, a page in index order, and whether its filter takes them.
-- Failed and waiting tasks have small tables of their own; only cancelled ones are looked for in
-- the stage itself.
create or replace function stagebus.retryable_tasks(
    p_stage stagebus_data.stages,
    p_status text,
    p_parameters jsonb,
    p_error text,
    p_after_index integer,
    p_limit integer
) returns table (task_index integer, error text, matches boolean)
language plpgsql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    return query
    with listed as materialized (
        (
            select f.job_id, f.stage, f.task_index, f.error
            from failed_tasks as f
            where p_status = 'failed' and f.job_id = p_stage.job_id and f.stage = p_stage.stage
                and f.task_index > p_after_index
            order by f.task_index
            limit p_limit
        )
        union all
        (
            select w.job_id, w.stage, w.task_index, w.error
            from waiting_retries as w
            where p_status = 'retry_wait' and w.job_id = p_stage.job_id
                and w.stage = p_stage.stage and w.task_index > p_after_index
            order by w.task_index
            limit p_limit
        )
        union all
        (
            select t.job_id, t.stage, t.task_index, 'cancelled'
            from tasks as t
            where p_status = 'cancelled' and t.job_id = p_stage.job_id
                and t.stage = p_stage.stage and t.task_index > p_after_index
            order by t.task_index
            limit p_limit
        )
    )
    select l.task_index, l.error,
        t.state = p_status and l.error like p_error and (
            p_parameters = '{}'
            or (p_stage.parameters || coalesce(
                t.parameters, jsonb_build_object('index', t.task_index))) @> p_parameters)
    from listed as l
    join tasks as t on t.job_id = l.job_id and t.stage = l.stage
        and t.task_index = l.task_index
    order by l.task_index;
end;
$$;
comment on function stagebus.retryable_tasks(
    stagebus_data.stages, text, jsonb, text, integer, integer) is
    'Up to p_limit tasks with p_status (of a cancelled stage: any) after p_after_index, in order.';
