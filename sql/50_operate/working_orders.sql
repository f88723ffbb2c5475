-- What work_order is to be called for.
create or replace function stagebus.working_orders() returns setof bigint
language sql
stable
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
    select o.order_id from stagebus_data.orders as o where o.state = 'working' order by o.order_id;
$$;
comment on function stagebus.working_orders() is
    'The ids of the orders that are worked off, oldest first.';
