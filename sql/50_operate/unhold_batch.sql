-- Lets a held batch go on where it stopped.
create or replace function stagebus.unhold_batch(
    p_job_id uuid,
    p_batch_id uuid,
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
        p_job_id, p_batch_id, 'unhold_batch', array['held']);
    v_order_id bigint;
begin
    if dry_run then
        return row(
            null, 'unhold_batch', 'dry run', p_job_id, v_batch.stage, p_batch_id,
            v_batch.task_count, 0,
            format('it goes on after task %s%s', v_batch.published_through, coalesce(
                format('; what was sent at %s may be there twice', v_batch.unanswered_since), ''))
        )::stagebus.order_report;
    end if;
    v_order_id := stagebus.begin_order(
        'unhold_batch', p_job_id, v_batch.stage, p_batch_id, '{}', reason, v_batch.task_count);
    update batches as b set
        state = 'pending_queue',
        publish_attempts = 0,
        last_error = null,
        ready_at = v_now,
        -- Whoever lets it go has decided about what may have arrived.
        unanswered_since = null,
        unanswered_through = null
    where b.job_id = p_job_id and b.batch_id = p_batch_id and b.state = 'held';
    perform stagebus.take_turns(array[p_job_id], array[p_batch_id]);
    notify stagebus_ready;
    perform stagebus.end_order(v_order_id, v_batch.task_count);
    return stagebus.report_order(v_order_id);
end;
$$;
comment on function stagebus.unhold_batch(uuid, uuid, text, boolean) is
    'Makes a held batch claimable; it goes on with the same message ids, its attempts begin anew. '
    'Locks the batch; notifies stagebus_ready. Raises SB115, SB119, SB120.';
