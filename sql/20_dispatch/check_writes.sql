-- The first call of a bridge on each new connection: has this server all that the bridge was told
-- is committed? One that was restored, or promoted without having received everything, has not.
-- Then the messages of what it forgot are on the broker, and somebody has to look at it. Each later
-- call names the server by the time of its start: a pooler may lead to another without a word.
--
-- Of each claim: how far it came, how many sends it recorded, and whether it gave the batch back.
create or replace function stagebus.check_writes(
    p_bridge_id uuid,
    p_job_ids uuid[],
    p_batch_ids uuid[],
    p_claim_epochs integer[],
    p_published_through integer[],
    p_sends integer[],
    p_settled boolean[]
) returns table (server timestamptz, fsync boolean, lost text)
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
set enable_seqscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_now         timestamptz := stagebus.clock();
    v_example     text;
    v_destination record;
begin
    select min(format('batch %s of job %s', w.batch_id, w.job_id)) into v_example
    from unnest(
        p_job_ids, p_batch_ids, p_claim_epochs, p_published_through, p_sends, p_settled
    ) as w (job_id, batch_id, claim_epoch, published_through, sends, settled)
    cross join retention as r
    left join batches as b on b.job_id = w.job_id and b.batch_id = w.batch_id
    -- Of a week that is being removed, parts are gone already.
    where (w.job_id < r.hidden_from or w.job_id >= r.hidden_until) and case
        -- Retention removes none that is younger, also where 7 days had 167 hours.
        when b.batch_id is null
            then w.job_id >= stagebus.first_job_id_at(v_now - interval '160 hours')
                -- Nor a batch, but with its stage, which an order then remembers.
                and not exists (
                    select
                    from orders as o
                    where o.job_id = w.job_id and o.action = 'withdraw_stage')
        else b.claim_epoch < w.claim_epoch
            or (b.claim_epoch = w.claim_epoch and b.published_through < w.published_through)
            -- The same epoch, given out again, or its end undone.
            or (b.claim_epoch = w.claim_epoch and b.state = 'publishing'
                and (w.settled or b.claimed_by <> p_bridge_id))
            -- What another bridge did again in its place is in the ledger under its own name.
            or w.sends > (
                select count(*)
                from sends as s
                where s.job_id = w.job_id and s.batch_id = w.batch_id
                    and s.claim_epoch = w.claim_epoch and s.claimed_by = p_bridge_id
                    and s.messages is not null)
        end;
    server := pg_postmaster_start_time();
    fsync := current_setting('fsync')::boolean;
    if v_example is not null then
        lost := format(
            'the database has lost committed transactions, as bridge %s found at %s: its last '
            'writes are missing (to %s). It was restored, or a standby was promoted that had not '
            'received everything. Jobs and results may be gone whose messages are out: check, then '
            'resume_destination',
            p_bridge_id, v_now, v_example);
        for v_destination in
            select d.destination, d.pause_reason from destinations as d order by d.destination
        loop
            perform stagebus.pause_destination(
                v_destination.destination,
                lost || coalesce('; before: ' || v_destination.pause_reason, ''));
        end loop;
    end if;
    return next;
end;
$$;
comment on function stagebus.check_writes(
    uuid, uuid[], uuid[], integer[], integer[], integer[], boolean[]) is
    'When this server was started, whether it has fsync on, and null or why all destinations are '
    'now paused: it lacks something that the bridge was told is committed. Of a job of more than '
    '160 hours, all of which is gone, nothing is said. Locks destinations.';
