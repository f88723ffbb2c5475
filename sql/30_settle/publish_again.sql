-- A new dispatch of a batch: those of its tasks that no worker has started are published again,
-- with new message ids. One that is held stays held, and begins anew when it is let go. The caller
-- has it take its turn, with all others that it publishes again.
create or replace function stagebus.publish_again(
    p_job_id uuid,
    p_batch_id uuid,
    p_unstarted integer,
    p_reason text
) returns void
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_now timestamptz := stagebus.clock();
begin
    perform stagebus.record_unreported_send(p_job_id, p_batch_id, p_reason);
    update batches as b set
        state = case b.state when 'held' then 'held' else 'pending_queue' end,
        dispatch = b.dispatch + 1,
        unstarted = p_unstarted,
        claim_epoch = b.claim_epoch + 1,
        claimed_by = null,
        lease_until = null,
        ready_at = v_now,
        published_through = b.first_index - 1,
        publish_attempts = 0,
        last_error = null,
        queued_at = null,
        start_due_at = null,
        unanswered_since = null,
        unanswered_through = null
    where b.job_id = p_job_id and b.batch_id = p_batch_id and b.state in (
        'pending_queue', 'publishing', 'queued', 'held', 'failed', 'cancelled');
    notify stagebus_ready;
end;
$$;
comment on function stagebus.publish_again(uuid, uuid, integer, text) is
    'Begins a new dispatch of a batch, of whose tasks p_unstarted are not started; a held one '
    'stays held. What its bridge may have sent is in the ledger with p_reason. Locks it; notifies '
    'stagebus_ready.';
