-- Publishes a batch again, as a unit. One that failed goes on where it stopped; of one that was
-- queued everything that no worker has started goes out again, as a new dispatch.
create or replace function stagebus.retry_batch(
    p_job_id uuid,
    p_batch_id uuid,
    unfinished boolean default false,
    reason text default null,
    dry_run boolean default false
) returns stagebus.order_report
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_now      timestamptz := stagebus.clock();
    v_batch    stagebus_data.batches := stagebus.lock_batch(
        p_job_id, p_batch_id, 'retry_batch', array['queued', 'publishing', 'failed']);
    v_waiting  integer;
    v_running  integer := 0;
    v_order_id bigint;
begin
    if v_batch.kind = 'tasks' and (
        select s.state = 'provisional'
        from stages as s
        where s.job_id = p_job_id and s.stage = v_batch.stage)
    then
        perform stagebus.raise_error(
            'SB120', format('retry_batch cannot be done: stage %s of job %s is provisional',
                v_batch.stage, p_job_id),
            'Its batches are published once; nothing of it can be started yet.',
            'Wait until it is confirmed, or give it up with withdraw_stage.');
    end if;
    v_waiting := case v_batch.kind
        when 'job' then 1 else stagebus.unstarted_tasks(v_batch) end;
    if unfinished then
        v_running := (
            select count(*)::integer
            from stagebus.running_in_batch(v_batch, 0, v_batch.task_count));
    end if;
    if dry_run then
        return row(
            null, 'retry_batch', 'dry run', p_job_id, v_batch.stage, p_batch_id,
            v_waiting + v_running, 0,
            format('%s not started, %s running; %s', v_waiting, v_running, case v_batch.state
                when 'failed'
                    then format('it goes on after task %s', v_batch.published_through)
                else format('dispatch %s', v_batch.dispatch + 1) end))::stagebus.order_report;
    end if;
    v_order_id := stagebus.begin_order(
        'retry_batch', p_job_id, v_batch.stage, p_batch_id,
        jsonb_build_object('unfinished', coalesce(unfinished, false)), reason,
        v_waiting + v_running);
    if v_batch.state = 'failed' then
        update batches as b set
            state = 'pending_queue',
            publish_attempts = 0,
            last_error = null,
            ready_at = v_now,
            unanswered_since = null,
            unanswered_through = null
        where b.job_id = p_job_id and b.batch_id = p_batch_id and b.state = 'failed';
        notify stagebus_ready;
    else
        perform stagebus.publish_again(
            p_job_id, p_batch_id, v_waiting, format('order %s', v_order_id));
    end if;
    perform stagebus.take_turns(array[p_job_id], array[p_batch_id]);
    update orders as o set tasks_done = v_waiting where o.order_id = v_order_id;
    if v_running = 0 then
        perform stagebus.end_order(v_order_id);
    end if;
    return stagebus.report_order(v_order_id);
end;
$$;
comment on function stagebus.retry_batch(uuid, uuid, boolean, text, boolean) is
    'Publishes again what no worker has started; unfinished => true also ends the attempts that '
    'run, in steps, and gives their tasks another one. Locks the batch; notifies stagebus_ready. '
    'Raises SB115, SB119, SB120.';
