-- What every call that orders something returns.
create or replace function stagebus.report_order(
    p_order_id bigint,
    p_note text default null
) returns stagebus.order_report
language sql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
    select row(
        o.order_id, o.action, o.state, o.job_id, o.stage, o.batch_id, o.tasks, o.tasks_done,
        coalesce(p_note, case o.state
            when 'working' then format(
                'a bridge works it off; without one: select work_order(%s)', o.order_id)
            when 'done' then 'done'
            else format('stopped by %s', o.stopped_by) end))::stagebus.order_report
    from stagebus_data.orders as o
    where o.order_id = p_order_id;
$$;
comment on function stagebus.report_order(bigint, text) is
    'The order in one row, or null where there is none.';
