-- What became of one send. An accepted send moves published_through on and renews the lease, and
-- the next one has all publish attempts; whatever its outcome, it is a row in the ledger.
create or replace function stagebus.record_send(
    p_job_id uuid,
    p_batch_id uuid,
    p_claim_epoch integer,
    p_first_index integer,
    p_last_index integer,
    p_messages integer,
    p_bytes bigint,
    p_duration interval,
    p_outcome text,
    p_error text,
    p_lease interval
) returns boolean
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
set enable_seqscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_now   timestamptz := stagebus.clock();
    v_batch record;
begin
    if p_outcome <> 'accepted' then
        -- Of one that moves nothing the ledger alone tells whether it is told again.
        perform
        from batches as b
        where b.job_id = p_job_id and b.batch_id = p_batch_id
        for no key update;
        if exists (
            select
            from batches as b
            join sends as l
                on l.job_id = b.job_id and l.batch_id = b.batch_id and l.send_no = b.send_count
            where b.job_id = p_job_id and b.batch_id = p_batch_id
                and b.state = 'publishing' and b.claim_epoch = p_claim_epoch
                and l.claim_epoch = p_claim_epoch and l.outcome = p_outcome
                and l.first_index = p_first_index and l.last_index = p_last_index)
        then
            return true;
        end if;
    end if;
    update batches as b set
        published_through = case p_outcome
            when 'accepted' then p_last_index else b.published_through end,
        lease_until = v_now + p_lease,
        reported_at = v_now,
        unanswered_since = case
            when p_outcome = 'unknown' then least(b.unanswered_since, v_now - p_duration)
            when p_outcome = 'accepted' and p_last_index >= b.unanswered_through then null
            else b.unanswered_since end,
        unanswered_through = case
            when p_outcome = 'unknown' then greatest(b.unanswered_through, p_last_index)
            when p_outcome = 'accepted' and p_last_index >= b.unanswered_through then null
            else b.unanswered_through end,
        publish_attempts = case p_outcome when 'accepted' then 0 else b.publish_attempts end,
        send_count = b.send_count + 1
    where b.job_id = p_job_id and b.batch_id = p_batch_id
        and b.state = 'publishing' and b.claim_epoch = p_claim_epoch
        and p_first_index > b.published_through
        and not exists (
            select
            from stages as s
            where s.job_id = b.job_id and s.stage = b.stage and s.ending = 'withdraw')
    returning b.send_count, b.dispatch, b.claimed_by, b.destination, b.stage, exists (
        select
        from destinations as d
        where d.destination = b.destination and d.probe_at is not null) as refused
    into v_batch;
    if not found then
        -- Told again because the answer was lost: it is in the ledger already, and the batch may
        -- have been finished with it.
        return exists (
            select
            from batches as b
            join sends as l
                on l.job_id = b.job_id and l.batch_id = b.batch_id and l.send_no = b.send_count
            where b.job_id = p_job_id and b.batch_id = p_batch_id
                and b.state in ('publishing', 'queued')
                and b.claim_epoch = p_claim_epoch and l.claim_epoch = p_claim_epoch
                and l.last_index = p_last_index
                and l.outcome = 'accepted' and p_outcome = 'accepted');
    end if;
    insert into sends (
        job_id, batch_id, send_no, dispatch, claim_epoch, claimed_by, first_index, last_index,
        messages, bytes, outcome, error, duration, recorded_at)
    values (
        p_job_id, p_batch_id, v_batch.send_count, v_batch.dispatch, p_claim_epoch,
        v_batch.claimed_by, p_first_index, p_last_index, p_messages, p_bytes, p_outcome, p_error,
        p_duration, v_now);
    if p_outcome = 'accepted' and v_batch.refused then
        -- The broker takes it again. Before the destination the stage, which may be confirmed next.
        perform
        from stages as s
        where s.job_id = p_job_id and s.stage = v_batch.stage and s.state = 'provisional'
        for no key update;
        update destinations as d set paused_at = null, pause_reason = null, probe_at = null
        where d.destination = v_batch.destination and d.probe_at is not null;
    end if;
    return true;
end;
$$;
comment on function stagebus.record_send(
    uuid, uuid, integer, integer, integer, integer, bigint, interval, text, text, interval) is
    'True when the send is recorded, now or by the same call before; false when the batch is no '
    'longer this claim''s, or its stage is withdrawn, and then nothing is written and the bridge '
    'drops the batch. The one send of an atomic batch is told up to the batch''s last index. An '
    'accepted send resumes a destination that a bridge had paused. Locks the batch; of such a '
    'destination a provisional stage, the destination.';
