-- Nothing of the order is left to do.
create or replace function stagebus.end_order(
    p_order_id bigint,
    p_tasks_done integer default null
) returns void
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_now   timestamptz := stagebus.clock();
    v_order stagebus_data.orders;
begin
    update orders as o set
        state = 'done',
        tasks_done = coalesce(p_tasks_done, o.tasks_done),
        ended_at = v_now
    where o.order_id = p_order_id and o.state = 'working'
    returning o.* into v_order;
    if v_order.action = 'retry_tasks' then
        perform stagebus.advance_after_retry(v_order.job_id);
    end if;
end;
$$;
comment on function stagebus.end_order(bigint, integer) is
    'Marks a working order done. A job with a plan that waited for a retry is due to advance.';
