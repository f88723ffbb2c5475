-- Takes an order back, as far as that can be: a hold by its opposite; a cancelling by stopping it
-- and giving the tasks that it cancelled another attempt.
create or replace function stagebus.undo_order(
    p_order_id bigint,
    reason text default null,
    dry_run boolean default false
) returns setof stagebus.order_report
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_order   stagebus_data.orders := stagebus.lock_order(p_order_id);
    v_reason  text := concat_ws(': ', format('undoes order %s', p_order_id), undo_order.reason);
    v_stage   integer;
    v_reopens boolean := false;
    v_done    stagebus.order_report;
begin
    perform stagebus.require_kept_job(v_order.job_id);
    if v_order.action not in ('hold_batch', 'unhold_batch', 'cancel_stage', 'cancel_job') then
        perform stagebus.raise_error(
            'SB120', format('order %s cannot be undone: it is a %s', p_order_id, v_order.action),
            'A hold and a cancelling can be undone; what was published or retried has happened.',
            case v_order.action when 'withdraw_stage' then 'Make the stage again.'
                when 'set_stage'
                then 'Set the values before with set_stage; the order''s details have them.'
                when 'repair_job' then 'What was wrong is not put back; its details have it.'
                else 'Stop a working order with stop_order.' end);
    end if;
    if exists (select from orders as o where o.undoes = p_order_id and o.job_id = v_order.job_id)
    then
        perform stagebus.raise_error(
            'SB120', format('order %s was undone already', p_order_id),
            'An order is undone once.', 'The view orders shows by which order: undoes.');
    end if;

    if v_order.action = 'hold_batch' then
        v_done := stagebus.unhold_batch(v_order.job_id, v_order.batch_id, v_reason, dry_run);
    elsif v_order.action = 'unhold_batch' then
        v_done := stagebus.hold_batch(v_order.job_id, v_order.batch_id, v_reason, dry_run);
    end if;
    if v_done.action is not null then
        update orders as o set undoes = p_order_id where o.order_id = v_done.order_id;
        return next v_done;
        return;
    end if;

    if dry_run then
        return next row(
            null, 'retry_tasks', 'dry run', v_order.job_id, v_order.stage, null,
            v_order.tasks_done, 0, case v_order.state
                when 'working' then 'the order is stopped; what it has cancelled is retried'
                else 'what it cancelled is retried' end)::stagebus.order_report;
        return;
    end if;
    if v_order.state = 'working' then
        perform stagebus.stop_order(p_order_id, v_reason);
    elsif v_order.action = 'cancel_job' then
        -- It may be done, and its job not: the final stage of a plan runs.
        perform
        from stages as s
        where s.job_id = v_order.job_id
        order by s.stage
        for no key update;
        perform stagebus.go_on_with_job(v_order.job_id)
        from jobs as j
        where j.job_id = v_order.job_id and j.plan_version is not null;
    end if;
    for v_stage in
        select s.stage
        from stages as s
        where s.job_id = v_order.job_id and s.stage = coalesce(v_order.stage, s.stage)
            and s.state in ('open', 'failed', 'cancelled')
            -- What had ended before was not this order's to cancel.
            and (s.ended_at is null or s.ended_at >= v_order.ordered_at)
        order by s.stage
    loop
        v_done := stagebus.retry_tasks(
            v_order.job_id, v_stage, 'cancelled', reason => v_reason);
        update orders as o set undoes = p_order_id where o.order_id = v_done.order_id;
        v_reopens := v_reopens
            or v_done.tasks > 0 and not stagebus.went_past(v_order.job_id, v_stage);
        return next v_done;
    end loop;
    -- Otherwise the job runs again with the first task of its last stage.
    if v_order.action = 'cancel_job' and not v_reopens then
        perform stagebus.reopen_job(v_order.job_id);
    end if;
end;
$$;
comment on function stagebus.undo_order(bigint, text, boolean) is
    'Undoes hold_batch, unhold_batch, cancel_stage or cancel_job; returns the orders that do it. '
    'Locks the order, and what those orders lock. Raises SB115, SB120, SB121.';
