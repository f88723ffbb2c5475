-- Keeps a batch from being published until unhold_batch.
create or replace function stagebus.hold_batch(
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
    v_batch    stagebus_data.batches := stagebus.lock_batch(
        p_job_id, p_batch_id, 'hold_batch', array['pending_queue', 'publishing', 'failed']);
    v_order_id bigint;
begin
    if dry_run then
        return row(
            null, 'hold_batch', 'dry run', p_job_id, v_batch.stage, p_batch_id,
            v_batch.task_count, 0,
            format('it is %s; up to task %s the broker has it already',
                v_batch.state, v_batch.published_through))::stagebus.order_report;
    end if;
    v_order_id := stagebus.begin_order(
        'hold_batch', p_job_id, v_batch.stage, p_batch_id, '{}', reason, v_batch.task_count);
    perform stagebus.record_unreported_send(
        p_job_id, p_batch_id, 'the batch was held before the bridge reported');
    update batches as b set
        state = 'held',
        claim_epoch = b.claim_epoch + 1,
        claimed_by = null,
        lease_until = null
    where b.job_id = p_job_id and b.batch_id = p_batch_id
        and b.state in ('pending_queue', 'publishing', 'failed');
    perform stagebus.end_order(v_order_id, v_batch.task_count);
    return stagebus.report_order(v_order_id);
end;
$$;
comment on function stagebus.hold_batch(uuid, uuid, text, boolean) is
    'Holds a batch that waits, failed or is being published; its bridge''s next write is refused. '
    'Locks the batch. Raises SB115, SB119, SB120.';
