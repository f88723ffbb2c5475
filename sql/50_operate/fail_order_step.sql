-- A step of an order rolled back, and took with it any trace of why. The bridge says it here; the
-- step is done again.
create or replace function stagebus.fail_order_step(
    p_order_id bigint,
    p_error text
) returns void
language sql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
    update stagebus_data.orders as o set last_error = left(p_error, 8192)
    where o.order_id = p_order_id and o.state = 'working';
$$;
comment on function stagebus.fail_order_step(bigint, text) is
    'Shows p_error as the last_error of a working order, until one of its steps succeeds. Locks '
    'the order.';
