-- A bridge takes batches to publish: those whose bridge went silent first, then those that wait,
-- in the order of their turns. A short transaction; from here on only the claim_epoch decides
-- whether a write counts.
create or replace function stagebus.claim_batches(
    p_bridge_id uuid,
    p_limit integer,
    p_lease interval,
    p_from bigint default 0
) returns table (
    job_id uuid,
    batch_id uuid,
    stage integer,
    claim_epoch integer,
    dispatch integer,
    task_type text,
    entity_kind text,
    entity text,
    max_send_bytes integer,
    max_send_messages integer,
    published_through integer,
    last_index integer,
    average_body_bytes integer,
    atomic boolean,
    lease_until timestamptz,
    seq bigint,
    limited_for interval
)
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
set enable_seqscan = off
set jit = off
set enable_hashjoin = off
set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_now         timestamptz := stagebus.clock();
    v_left        integer := greatest(coalesce(p_limit, 1), 1);
    v_job_ids     uuid[] := array[]::uuid[];
    v_batch_ids   uuid[] := array[]::uuid[];
    v_everything  boolean := coalesce(p_from, 0) = 0;
    v_usable      text[];
    v_limited     text[];
    v_budget      double precision;
    v_destination record;
    v_batch       record;
    v_oldest      uuid;
    v_last        bigint;
begin
    perform stagebus.require_read_committed('claim_batches');

    select array_agg(d.destination) filter (where d.per_second is null),
        array_agg(d.destination) filter (where d.per_second is not null)
    into v_usable, v_limited
    from destinations as d
    where d.paused_at is null and coalesce(d.throttled_until <= v_now, true)
        and coalesce(d.paid_until <= v_now, true);
    if v_limited is not null then
        -- One bridge at a time, and none waits: another has what may be claimed now.
        v_limited := array(
            select d.destination
            from destinations as d
            where d.destination = any (v_limited) and coalesce(d.paid_until <= v_now, true)
            for no key update skip locked);
        v_usable := v_usable || v_limited;
    end if;
    -- One batch to see whether the broker takes a destination again that it had refused.
    for v_destination in
        select d.destination
        from destinations as d
        where d.probe_at <= v_now
        order by d.destination
    loop
        exit when v_left = 0;
        select b.* into v_batch
        from batches as b
        where b.destination = v_destination.destination
            and b.state = 'publishing' and b.lease_until < v_now
        order by b.lease_until
        limit 1
        for update skip locked;
        if not found then
            select b.* into v_batch
            from batches as b
            where b.destination = v_destination.destination
                and b.state = 'pending_queue' and b.ready_at <= v_now
            order by b.seq
            limit 1
            for update skip locked;
        end if;
        continue when not found;
        -- Not waited for: an operator may have it locked, and all others would wait as well.
        perform
        from destinations as d
        where d.destination = v_destination.destination and d.probe_at <= v_now
        for no key update skip locked;
        -- Another bridge is trying already.
        continue when not found;
        -- Soon after it was paused, later less often.
        update destinations as d set probe_at = v_now + least(
            interval '10 seconds', greatest(interval '1 second', (v_now - d.paused_at) / 2))
        where d.destination = v_destination.destination;
        perform stagebus.record_unreported_send(
            v_batch.job_id, v_batch.batch_id, 'the lease ran out before the bridge reported');
        v_job_ids := v_job_ids || v_batch.job_id;
        v_batch_ids := v_batch_ids || v_batch.batch_id;
        v_left := v_left - 1;
    end loop;

    -- While a transaction is open somewhere, each lease that there was leaves its entry in the
    -- index to be walked over: so not each time.
    if v_everything then
        for v_batch in
            select b.*
            from batches as b
            where b.state = 'publishing' and b.lease_until < v_now
                and b.destination = any (v_usable)
            order by b.lease_until
            limit v_left
            for update skip locked
        loop
            -- Nobody will say any more what became of the rest; it may have been sent.
            perform stagebus.record_unreported_send(
                v_batch.job_id, v_batch.batch_id, 'the lease ran out before the bridge reported');
            v_job_ids := v_job_ids || v_batch.job_id;
            v_batch_ids := v_batch_ids || v_batch.batch_id;
            v_left := v_left - 1;
        end loop;
    end if;

    -- By chance, so that one with much to do does not keep the others waiting.
    for v_destination in
        select d.destination, d.turn, d.turn_at, d.looked_from, d.per_second, d.paid_until
        from destinations as d
        where d.destination = any (v_usable)
        order by random()
    loop
        exit when v_left = 0;
        v_oldest := null;
        v_last := null;
        -- Of a second that nobody used; null without a limit.
        v_budget := v_destination.per_second * extract(epoch from v_now - greatest(
            v_destination.paid_until, v_now - interval '1 second'));
        -- Whoever always makes smaller ones keeps no batch waiting for ever. Not each time: where
        -- few can be claimed, all claims look at everything.
        if v_everything and random() < 0.125 then
            for v_batch in
                select b.job_id, b.batch_id,
                    case when b.scattered then b.task_count
                        else b.last_index - b.published_through end as tasks
                from batches as b
                where b.destination = v_destination.destination
                    and b.state = 'pending_queue' and b.ready_at <= v_now
                order by b.seq
                limit 1
                for update skip locked
            loop
                v_oldest := v_batch.batch_id;
                v_job_ids := v_job_ids || v_batch.job_id;
                v_batch_ids := v_batch_ids || v_batch.batch_id;
                v_left := v_left - 1;
                v_budget := v_budget - v_batch.tasks;
            end loop;
        end if;
        for v_batch in
            select b.job_id, b.batch_id, b.turn,
                case when b.scattered then b.task_count
                    else b.last_index - b.published_through end as tasks
            from batches as b
            where b.destination = v_destination.destination and b.state = 'pending_queue'
                and b.turn >= case when v_everything then 0 else v_destination.looked_from end
                and b.ready_at <= v_now and b.batch_id is distinct from v_oldest
            order by b.turn, b.seq
            limit v_left
            for update skip locked
        loop
            exit when v_oldest is not null and v_budget <= 0;
            v_last := v_batch.turn;
            v_job_ids := v_job_ids || v_batch.job_id;
            v_batch_ids := v_batch_ids || v_batch.batch_id;
            v_left := v_left - 1;
            v_budget := v_budget - v_batch.tasks;
            exit when v_budget <= 0;
        end loop;
        -- Seldom: while a transaction is open somewhere, each version of the row that there was is
        -- walked over by every claim. If more of what is older may wait, claims go back to it.
        if v_last > v_destination.turn
                and coalesce(v_destination.turn_at <= v_now - interval '1 second', true)
            or v_last < v_destination.looked_from and v_left = 0
        then
            perform stagebus.note_turn(
                v_destination.destination, v_destination.turn, v_last, v_now);
        end if;
    end loop;

    if cardinality(v_limited) > 0 then
        update destinations as d set
            paid_until = greatest(d.paid_until, v_now - interval '1 second')
                + make_interval(secs => c.tasks / d.per_second)
        from (
            select b.destination, sum(case when b.scattered then b.task_count
                else b.last_index - b.published_through end) as tasks
            from unnest(v_job_ids, v_batch_ids) as l (job_id, batch_id)
            join batches as b on b.job_id = l.job_id and b.batch_id = l.batch_id
            join stages as s on s.job_id = b.job_id and s.stage = b.stage
            join destinations as o on o.destination = b.destination
            where b.destination = any (v_limited)
                -- Those that the next statement publishes, and does not cancel or hold.
                and (s.ending is null or b.kind <> 'tasks')
                and coalesce(v_now - b.unanswered_since <= o.duplicate_window - 2 * p_lease
                    or o.old_repeats <> 'hold', true)
            group by b.destination
        ) as c
        where d.destination = c.destination;
    end if;

    return query
    with candidate as materialized (
        select b.job_id, b.batch_id,
            case
                -- An order to cancel is obeyed before it comes to this batch.
                when s.ending is not null and b.kind = 'tasks' then 'cancelled'
                -- With time for this claim to send it: a lease, and a send that outlasts it.
                -- Durations are compared: a day before a moment may have 23 or 25 hours.
                when v_now - b.unanswered_since > d.duplicate_window - 2 * p_lease
                    and d.old_repeats = 'hold' then 'held'
                else 'publishing'
            end as state
        from unnest(v_job_ids, v_batch_ids) as l (job_id, batch_id)
        join batches as b on b.job_id = l.job_id and b.batch_id = l.batch_id
        join stages as s on s.job_id = b.job_id and s.stage = b.stage
        join destinations as d on d.destination = b.destination
    ),
    claimed as (
        update batches as b set
            state = c.state,
            claim_epoch = b.claim_epoch + 1,
            claimed_by = case c.state when 'publishing' then p_bridge_id end,
            lease_until = case c.state when 'publishing' then v_now + p_lease end,
            reported_at = v_now,
            last_error = case c.state
                when 'held' then format(
                    'what was sent at %s may have arrived, and the broker may not know its ids any '
                    'more: unhold_batch sends it again all the same', b.unanswered_since)
                else b.last_error end
        from candidate as c
        where b.job_id = c.job_id and b.batch_id = c.batch_id
            and b.state in ('pending_queue', 'publishing')
        returning b.*
    )
    select
        b.job_id, b.batch_id, b.stage, b.claim_epoch, b.dispatch, s.task_type,
        d.entity_kind, d.entity, d.max_send_bytes, d.max_send_messages,
        b.published_through, b.last_index,
        -- Bridges make their pages by it. Of neighbours that are as large as the largest, a page
        -- has 32 times the bytes that it should have, and no more.
        greatest(s.body_bytes / greatest(s.task_count, 1), s.largest_body / 32)::integer, b.atomic,
        b.lease_until, b.seq,
        case when d.per_second is not null
            then greatest(d.paid_until - v_now, interval '0') end
    from claimed as b
    join stages as s on s.job_id = b.job_id and s.stage = b.stage
    join destinations as d on d.destination = b.destination
    where b.state = 'publishing'
    order by b.seq;
end;
$$;
comment on function stagebus.claim_batches(uuid, integer, interval, bigint) is
    'Leases up to p_limit batches to the bridge, with a new claim_epoch each: batches whose lease '
    'ran out (and the range they may have sent goes to the ledger as unknown), then those whose '
    'turn comes first, and by chance the oldest that waits. p_from above 0: only from the turn on '
    'to which the destination had come a second or two ago, and no lost leases. limited_for: none '
    'of the destination can be claimed for so long, by its rate limit; null: it has none. '
    'average_body_bytes: more where one of the stage is more than 32 times as large. Passes '
    'over locked rows and paused or throttled destinations; of one that the broker had refused, '
    'one batch now and then to see whether it does still, after 1 second and, the longer it '
    'lasts, up to 10 seconds; a batch whose stage is being cancelled is cancelled instead, one '
    'that may have been sent too long ago for the broker to drop a repeat is held. Raises SB115.';
