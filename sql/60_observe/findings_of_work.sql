-- What is wrong with our own affairs: bridges, leases, destinations, partitions, code.
create or replace function stagebus.findings_of_work(p_code_digest text)
returns table (severity text, finding text, fix text)
language sql
stable
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
    with moment as materialized (select stagebus.clock() as now),
    bridge as materialized (select b.* from stagebus.bridges as b)
    select 'critical', 'no bridge is alive: nothing is published, and nobody keeps the house',
        '-- start one: stagebus bridge'
    where not exists (select from bridge as b where b.alive)
    union all
    select 'notice',
        format('bridge %s (process %s on %s, %s) went without a word at %s', b.bridge_id, b.pid,
            b.host, b.version, b.seen_at),
        format('select stagebus.forget_bridge(%L);', b.bridge_id)
    from bridge as b
    where not b.alive
    union all
    select 'warning',
        format('%s bridges of version %s come with other code than is installed; there are '
            'versions %s', count(*), b.version,
            (select string_agg(distinct v.version, ', ') from bridge as v where v.alive)),
        '-- with the newest of them: stagebus migrate; then start the older ones anew'
    from bridge as b
    join installed_code as c on c.digest <> b.code_digest
    where b.alive
    group by b.version
    union all
    select 'warning',
        format('the code in the database, replayed at %s, is not that of this version',
            c.replayed_at),
        '-- with the newest version: stagebus migrate'
    from installed_code as c
    where c.digest <> p_code_digest
    union all
    select 'warning',
        format('a send to %s that nobody answered is held, and not repeated: its duplicate_window '
            'of %s is not longer than twice the lease of %s bridges, %s',
            d.destination, d.duplicate_window, count(*), max(b.lease)),
        format('-- start them anew with a --lease well below %s seconds',
            trim_scale(extract(epoch from d.duplicate_window) / 2))
    from bridge as b
    join destinations as d on d.duplicate_window <= 2 * b.lease
    where b.alive and d.duplicate_window > interval '0' and d.old_repeats = 'hold'
    group by d.destination, d.duplicate_window
    union all
    select 'warning',
        format('%s batches for %s are leased to bridges that have not renewed the lease since %s',
            count(*), b.destination, min(b.lease_until)),
        case when d.paused_at is null then '-- start a bridge, which takes them over'
            else format('select stagebus.resume_destination(%L);', b.destination) end
    from batches as b
    join destinations as d on d.destination = b.destination
    cross join moment as m
    where b.lease_until < m.now - interval '30 seconds'
    group by b.destination, d.paused_at
    union all
    select 'warning',
        format('%s attempts of workers have outlived their lease, the first since %s, and nobody '
            'ended them', count(*), min(r.lease_until)),
        'select * from stagebus.maintain();'
    from running_attempts as r
    cross join moment as m
    where r.lease_until < m.now - interval '1 minute'
    having count(*) > 0
    union all
    select 'warning',
        format('the destination %s is %s since %s: %s', d.destination,
            case when d.probe_at is null then 'paused' else 'refused by the broker' end,
            d.paused_at, d.pause_reason),
        format('select stagebus.resume_destination(%L);', d.destination)
    from destinations as d
    where d.paused_at is not null
    union all
    select 'warning',
        format('%s batches are %s and wait for an operator', count(*), b.status),
        format('select stagebus.%s(b.job_id, b.batch_id) from stagebus.batches as b'
            ' join stagebus.stages as s using (job_id, stage) where b.status = %L'
            ' and (s.ending is null or b.kind = ''job'') order by b.job_id, b.batch_id;',
            case b.status when 'failed' then 'retry_batch' else 'unhold_batch' end, b.status)
    from stagebus.batches as b
    join stagebus.stages as s on s.job_id = b.job_id and s.stage = b.stage
    where b.status in ('failed', 'held')
        -- Otherwise the order that ends the stage takes care of them.
        and (s.ending is null or b.kind = 'job')
    group by b.status
    union all
    select 'warning',
        format('order %s (%s of job %s) fails: %s', o.order_id, o.action, o.job_id, o.last_error),
        format('select * from stagebus.work_order(%s);', o.order_id)
    from orders as o
    where o.state = 'working' and o.last_error is not null
    union all
    select 'warning',
        format('the partition of tasks for the week from %s is missing', w.monday::date),
        'select * from stagebus.maintain();'
    from (
        select date_trunc('week', (m.now + interval '7 days') at time zone 'UTC') as monday
        from moment as m
    ) as w
    where to_regclass('stagebus_data.tasks_from_' || to_char(w.monday, 'YYYYMMDD')) is null
    union all
    -- What ended late goes by itself.
    select 'notice',
        format('%s has expired, and is kept for job %s: %s', w.partition, w.job_id, w.why),
        case when w.why = 'it is not archived'
            then format('-- stagebus archive %s --mark > job.jsonl', w.job_id)
            else format('select * from stagebus.why_stuck(%L);', w.job_id) end
    from stagebus.retention_status() as w
    where w.status = 'held back' and w.why !~ 'ended only at'
    union all
    select 'warning',
        format('%s could not be removed %s times: %s', r.partition, r.tries, r.last_error),
        '-- end what is in its way; then: select * from stagebus.drop_expired();'
    from removals as r
    where r.ended_at is null and r.tries >= 5
    union all
    select 'notice',
        format('%s dead letters of %s are not ours, and are deferred there; the last came at %s',
            count(*), d.destination, max(d.received_at)),
        '-- whoever misses them: receive_deferred_messages, as docs/dead-letters.md says'
    from dead_letters as d
    cross join moment as m
    where d.job_id is null and d.outcome = 'not_ours'
        and d.received_at > m.now - interval '1 day'
    group by d.destination;
$$;
comment on function stagebus.findings_of_work(text) is
    'The part of doctor about bridges, the code that is installed, leases, destinations, batches, '
    'orders, partitions, retention and dead letters.';
