-- What a decision about an order begins with.
create or replace function stagebus.lock_order(p_order_id bigint) returns stagebus_data.orders
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_order stagebus_data.orders;
begin
    perform stagebus.require_read_committed('a decision about an order');
    select o.* into v_order from orders as o where o.order_id = p_order_id for no key update;
    if not found then
        perform stagebus.raise_error(
            'SB121', format('order %s does not exist', coalesce(p_order_id::text, 'null')),
            'Orders are numbered by whoever gives them.', 'Look it up in the view orders.');
    end if;
    return v_order;
end;
$$;
comment on function stagebus.lock_order(bigint) is
    'Locks and returns the row of an order. Raises SB115, SB121.';
