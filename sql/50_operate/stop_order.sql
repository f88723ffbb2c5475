-- Stops an order where it is. What it has done stays done; of a cancelling, what is left of the
-- stage goes on: its messages may have been turned away meanwhile, so they are published again.
create or replace function stagebus.stop_order(
    p_order_id bigint,
    reason text default null,
    dry_run boolean default false
) returns stagebus.order_report
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_now       timestamptz := stagebus.clock();
    v_order     stagebus_data.orders := stagebus.lock_order(p_order_id);
    v_batch     stagebus_data.batches;
    v_unstarted integer;
    v_again     uuid[] := array[]::uuid[];
begin
    if v_order.state <> 'working' then
        perform stagebus.raise_error(
            'SB120', format('order %s cannot be stopped', p_order_id),
            format('It is %s; only a working order can be stopped.', v_order.state),
            'undo_order takes back what an order has done.');
    end if;
    if v_order.action = 'withdraw_stage' then
        perform stagebus.raise_error(
            'SB120', format('order %s cannot be stopped', p_order_id),
            'It is a withdrawal: whoever published the stage was told no.',
            'Make the stage again once it is gone.');
    end if;
    if v_order.action = 'cancel_stage' and (
        select j.cancelling and j.ended_at is null
        from jobs as j
        where j.job_id = v_order.job_id)
    then
        perform stagebus.raise_error(
            'SB120', format('order %s cannot be stopped', p_order_id),
            format('Job %s is being cancelled, and the stage with it.', v_order.job_id),
            'Stop the order that cancels the job; the view orders has its number.');
    end if;
    if dry_run then
        return row(
            p_order_id, v_order.action, 'dry run', v_order.job_id, v_order.stage, v_order.batch_id,
            v_order.tasks, v_order.tasks_done, case
                when v_order.action in ('cancel_job', 'cancel_stage')
                    then 'what is cancelled stays so; the rest goes on, what nobody started is '
                        'published again'
                else 'what is done stays done; the rest stays as it is' end
        )::stagebus.order_report;
    end if;
    if v_order.action in ('cancel_job', 'cancel_stage') then
        for v_batch in
            select b.*
            from batches as b
            join stages as s on s.job_id = b.job_id and s.stage = b.stage
            where b.job_id = v_order.job_id and b.stage = coalesce(v_order.stage, b.stage)
                and b.kind = 'tasks' and s.ending in ('cancel', 'deadline') and s.ended_at is null
            order by b.batch_id
            for no key update of b
        loop
            v_unstarted := stagebus.unstarted_tasks(v_batch);
            if v_unstarted > 0 then
                perform stagebus.publish_again(
                    v_batch.job_id, v_batch.batch_id, v_unstarted,
                    format('order %s was stopped', p_order_id));
                v_again := v_again || v_batch.batch_id;
            end if;
        end loop;
        perform stagebus.take_turns(
            array_fill(v_order.job_id, array[cardinality(v_again)]), v_again);
        -- Those that have ended, too: undo_order goes on to them, when it has the job's lock.
        perform
        from stages as s
        where s.job_id = v_order.job_id and s.stage = coalesce(v_order.stage, s.stage)
        order by s.stage
        for no key update;
        update stages as s set
            ending = null,
            deadline = case when s.deadline > v_now then s.deadline end
        where s.job_id = v_order.job_id and s.stage = coalesce(v_order.stage, s.stage)
            and s.ending in ('cancel', 'deadline') and s.ended_at is null;
        if v_order.action = 'cancel_job' then
            perform stagebus.go_on_with_job(v_order.job_id);
        end if;
    end if;
    update orders as o set
        state = 'stopped',
        stopped_by = session_user,
        ended_at = v_now,
        reason = concat_ws(' – stopped: ', o.reason, left(stop_order.reason, 8192))
    where o.order_id = p_order_id and o.state = 'working';
    if v_order.action = 'retry_tasks' then
        perform stagebus.advance_after_retry(v_order.job_id);
    end if;
    return stagebus.report_order(p_order_id);
end;
$$;
comment on function stagebus.stop_order(bigint, text, boolean) is
    'Stops a working order and returns its report. Locks the order, batches, stages, the job. '
    'Raises SB115, SB120, SB121.';
