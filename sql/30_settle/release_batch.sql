-- A bridge gives back what it did not get to: it drains, or it cannot reach the broker. The batch
-- is not to blame, so nothing is spent.
create or replace function stagebus.release_batch(
    p_job_id uuid,
    p_batch_id uuid,
    p_claim_epoch integer,
    p_delay interval default interval '0',
    p_reason text default null,
    p_destination_is text default null
) returns boolean
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
set enable_seqscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_now         timestamptz := stagebus.clock();
    v_destination text;
    v_kind        text;
    v_stage       integer;
    v_left        integer;
begin
    update batches as b set
        state = 'pending_queue',
        ready_at = v_now + p_delay,
        last_error = coalesce(p_reason, b.last_error),
        claimed_by = null,
        lease_until = null
    where b.job_id = p_job_id and b.batch_id = p_batch_id
        and b.state = 'publishing' and b.claim_epoch = p_claim_epoch
    returning b.destination, b.kind, b.stage,
        case when b.scattered then b.task_count else b.last_index - b.published_through end
    into v_destination, v_kind, v_stage, v_left;
    if not found then
        -- Told again because the answer was lost: nobody has claimed it since.
        return exists (
            select from batches as b
            where b.job_id = p_job_id and b.batch_id = p_batch_id
                and b.state = 'pending_queue' and b.claim_epoch = p_claim_epoch);
    end if;
    if p_destination_is = 'throttled' then
        -- As long as the service asks for with its error 50009. It does not refuse any more.
        update destinations as d set
            throttled_until = greatest(d.throttled_until, v_now + interval '2 seconds'),
            paused_at = case when d.probe_at is null then d.paused_at end,
            pause_reason = case when d.probe_at is null then d.pause_reason end,
            probe_at = null
        where d.destination = v_destination;
    elsif p_destination_is = 'refused' then
        if v_kind = 'tasks' then
            perform stagebus.withdraw_provisional(
                p_job_id, v_stage,
                format('the broker refuses the destination %s%s', v_destination,
                    coalesce(': ' || p_reason, '')));
        end if;
        update destinations as d set
            paused_at = coalesce(d.paused_at, v_now),
            pause_reason = coalesce(p_reason, 'the broker refuses it'),
            probe_at = greatest(d.probe_at, v_now + interval '1 second')
        where d.destination = v_destination and (d.paused_at is null or d.probe_at is not null);
    end if;
    -- Whoever claims it next pays for what is left again.
    update destinations as d set
        paid_until = greatest(v_now, d.paid_until - make_interval(secs => v_left / d.per_second))
    where d.destination = v_destination and d.paid_until > v_now;
    return true;
end;
$$;
comment on function stagebus.release_batch(uuid, uuid, integer, interval, text, text) is
    'Gives a claimed batch back, claimable after p_delay, without spending an attempt; p_reason is '
    'shown as its last_error; what is left of it does not count for a rate limit. '
    'p_destination_is: throttled keeps all of the destination back for 2 seconds; refused pauses '
    'it with the reason, until a batch that is tried now and then is accepted or throttled, and '
    'withdraws the batch''s stage if it is provisional. Told again, it is true and changes '
    'nothing. False when the batch is no longer this claim''s. Locks the batch, the stage, the '
    'destination.';
