-- What must be done now and then; every bridge calls it, one at a time does it.
create or replace function stagebus.maintain(
    p_limit integer default 1000,
    everything boolean default true
) returns table (
    lost_attempts integer,
    retried_tasks integer,
    republished_batches integer,
    overdue_stages integer,
    due_jobs integer,
    orders bigint[],
    removal_due boolean,
    more boolean
)
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
set enable_seqscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_now   timestamptz := stagebus.clock();
    v_limit integer := least(greatest(coalesce(p_limit, 1000), 1), 100000);
begin
    -- What else a round is for, so that it need not be asked of a database where nothing happens.
    orders := array(select stagebus.working_orders());
    removal_due := stagebus.is_removal_due(false);
    lost_attempts := 0;
    retried_tasks := 0;
    republished_batches := 0;
    overdue_stages := 0;
    due_jobs := 0;
    more := false;
    if not pg_try_advisory_xact_lock(hashtextextended('stagebus.maintain', 0)) then
        return next;
        return;
    end if;
    perform stagebus.ensure_partition(v_now + interval '7 days');
    -- Each passes over what is locked: one transaction that somebody has left open must not keep
    -- the house from being kept.
    lost_attempts := stagebus.end_lost_attempts(
        v_limit, coalesce(maintain.everything, true));
    retried_tasks := stagebus.gather_retries(v_limit);
    -- Each reads all tasks of a batch. Behind those that were all started there may be others.
    republished_batches := stagebus.republish_unstarted(10);
    perform from batches as b where b.start_due_at <= v_now limit 1 for update skip locked;
    more := found or lost_attempts >= v_limit or retried_tasks >= v_limit;
    overdue_stages := stagebus.end_overdue_stages(v_limit)
        + stagebus.withdraw_overdue_stages(v_limit);
    delete from bridges as b where b.seen_at < v_now - interval '1 day';
    -- Those of tasks go with their job.
    delete from dead_letters as d where d.ctid = any (array(
        select l.ctid
        from dead_letters as l
        where l.job_id is null and l.received_at < v_now - (select r.keep from retention as r)
        order by l.received_at
        limit v_limit));
    -- Those that nobody heard of, or that are due again after they failed.
    due_jobs := (select count(*)::integer from stagebus.due_jobs(100));
    if overdue_stages > 0 then
        orders := array(select stagebus.working_orders());
    end if;
    return next;
end;
$$;
comment on function stagebus.maintain(integer, boolean) is
    'Makes next week''s partition, ends lost attempts, gathers due retries into batches, publishes '
    'again what nobody started, orders the end of overdue stages (a provisional one is withdrawn), '
    'each within p_limit (1 to 100,000), and forgets bridges that were silent for a day, and dead '
    'letters of no task that are older than what retention keeps; returns the counts, that of '
    'jobs that advance_job is due for (100 at most), the orders that work_order is due for, '
    'whether drop_expired is due, and whether there is more for it to do at once. Passes over what '
    'is locked; does nothing while another session is at it. everything => false: no attempts that '
    'were lost over a minute ago, which a bridge looks for once a minute. Raises SB115.';
