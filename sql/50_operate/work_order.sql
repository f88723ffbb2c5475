-- One step of an order, in a transaction of its own; a bridge calls it again and again. It waits
-- for the calls of workers, and not for somebody who has left a transaction open.
create or replace function stagebus.work_order(
    p_order_id bigint,
    p_limit integer default 10000
) returns stagebus.order_report
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
set enable_seqscan = off
set jit = off
set plan_cache_mode = force_generic_plan
set lock_timeout = '3s'
as $$
declare
    v_order  stagebus_data.orders;
    v_report stagebus.order_report;
    v_limit  integer := least(greatest(coalesce(p_limit, 10000), 1), 100000);
begin
    perform stagebus.require_read_committed('work_order');
    select o.* into v_order
    from orders as o
    where o.order_id = p_order_id
    for no key update skip locked;
    if not found then
        if exists (select from orders as o where o.order_id = p_order_id) then
            v_report := stagebus.report_order(p_order_id, 'another session is at it');
            v_report.status := 'busy';
            return v_report;
        end if;
        perform stagebus.raise_error(
            'SB121', format('order %s does not exist', coalesce(p_order_id::text, 'null')),
            'Orders are numbered by whoever gives them.', 'Look it up in the view orders.');
    end if;
    if v_order.state = 'working' then
        begin
            case v_order.action
                when 'retry_tasks' then perform stagebus.work_retry_tasks(v_order, v_limit);
                when 'retry_batch' then perform stagebus.work_retry_batch(v_order, v_limit);
                when 'withdraw_stage' then perform stagebus.work_withdrawal(v_order, v_limit);
                else perform stagebus.work_cancelling(v_order, v_limit);
            end case;
        exception when lock_not_available then
            update orders as o set last_error = 'an open transaction has locked what it works on'
            where o.order_id = p_order_id;
            v_report := stagebus.report_order(p_order_id, 'an open transaction is in its way');
            v_report.status := 'busy';
            return v_report;
        end;
        if v_order.last_error is not null then
            update orders as o set last_error = null where o.order_id = p_order_id;
        end if;
    end if;
    return stagebus.report_order(p_order_id);
end;
$$;
comment on function stagebus.work_order(bigint, integer) is
    'Works on up to p_limit tasks of the order (1 to 100,000) and returns its report; does nothing '
    'while another session is at it or has locked for seconds what it works on (status busy), or '
    'when it has ended. Call it once per transaction. Raises SB115, SB121.';
