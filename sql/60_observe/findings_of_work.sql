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
        '-- stagebus migrate'
    from installed_code as c
    where c.digest <> p_code_digest
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
        format('%s batches are %s and wait for an operator', count(*), b.state),
        format('select stagebus.%s(b.job_id, b.batch_id) from stagebus.batches as b'
            ' where b.status = %L;',
            case b.state when 'failed' then 'retry_batch' else 'unhold_batch' end, b.state)
    from batches as b
    where b.state in ('failed', 'held')
    group by b.state
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
    where to_regclass('stagebus_data.tasks_from_' || to_char(w.monday, 'YYYYMMDD')) is null;
$$;
comment on function stagebus.findings_of_work(text) is
    'The part of doctor about bridges, the code that is installed, leases, destinations, batches, '
    'orders and partitions.';
