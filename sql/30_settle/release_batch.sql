-- A bridge gives back what it did not get to: it drains, or it cannot reach the broker. The batch
-- is not to blame, so nothing is spent.
create or replace function stagebus.release_batch(
    p_job_id uuid,
    p_batch_id uuid,
    p_claim_epoch integer,
    p_delay interval default interval '0',
    p_reason text default null
) returns boolean
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_now timestamptz := stagebus.clock();
begin
    update batches as b set
        state = 'pending_queue',
        ready_at = v_now + p_delay,
        last_error = coalesce(p_reason, b.last_error),
        claimed_by = null,
        lease_until = null
    where b.job_id = p_job_id and b.batch_id = p_batch_id
        and b.state = 'publishing' and b.claim_epoch = p_claim_epoch;
    return found;
end;
$$;
comment on function stagebus.release_batch(uuid, uuid, integer, interval, text) is
    'Gives a claimed batch back, claimable after p_delay, without spending an attempt; p_reason '
    'is shown as its last_error. '
    'False when the batch is no longer this claim''s.';
