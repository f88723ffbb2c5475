-- Why batches that could be published are not: their destination, or the bridges.
create or replace function stagebus.causes_in_publishing(p_job_id uuid)
returns table (cause text, stage integer, evidence text, fix text)
language sql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
    with moment as materialized (select stagebus.clock() as now),
    waiting as materialized (
        select b.destination, count(*) as batches, min(b.ready_at) as ready_at
        from stagebus_data.batches as b
        where b.job_id = p_job_id and b.state in ('pending_queue', 'publishing')
        group by b.destination
    ),
    bridge as materialized (select b.* from stagebus.bridges as b),
    lost as (
        select b.claimed_by, count(*) as batches, min(b.lease_until) as lease_until
        from stagebus_data.batches as b
        cross join moment as m
        where b.job_id = p_job_id and b.state = 'publishing' and b.lease_until < m.now
        group by b.claimed_by
    )
    select
        case when d.probe_at is null then 'paused destination' else 'refused destination' end,
        null::integer,
        format('%s batches wait for %s, paused since %s: %s', w.batches, d.destination,
            d.paused_at, d.pause_reason),
        format('select stagebus.resume_destination(%L);%s', d.destination,
            case when d.probe_at is not null then '  -- mend first what the broker says; a bridge '
                'tries by itself every few seconds' else '' end)
    from waiting as w
    join stagebus_data.destinations as d on d.destination = w.destination
    where d.paused_at is not null
    union all
    select 'throttled destination', null,
        format('%s batches wait for %s: the broker asked to leave it alone until %s', w.batches,
            d.destination, d.throttled_until),
        format('select stagebus.resume_destination(%L);  -- or wait: it goes on by itself',
            d.destination)
    from waiting as w
    join stagebus_data.destinations as d on d.destination = w.destination
    cross join moment as m
    where d.paused_at is null and d.throttled_until > m.now
    union all
    select 'rate limit', null,
        format('%s batches wait for %s, which is given %s tasks a second; until %s they are spent',
            w.batches, d.destination, d.per_second, d.paid_until),
        format('select stagebus.set_rate_limit(%L, null);  -- or a higher one', d.destination)
    from waiting as w
    join stagebus_data.destinations as d on d.destination = w.destination
    cross join moment as m
    where d.paused_at is null and d.paid_until > m.now
    union all
    select 'no bridge alive', null,
        coalesce((
            select format('the last word was at %s, from process %s on %s',
                b.seen_at, b.pid, b.host)
            from bridge as b
            order by b.seen_at desc
            limit 1), 'none has been heard of in the last day'),
        '-- start one: stagebus bridge'
    from stagebus_data.jobs as j
    where j.job_id = p_job_id and (j.ended_at is null or exists (select from waiting))
        and not exists (select from bridge as b where b.alive)
    union all
    select 'dead bridge', null,
        format('%s batches are leased to bridge %s%s, which did not renew the lease at %s',
            l.batches, l.claimed_by, coalesce(format(' (process %s on %s)', b.pid, b.host), ''),
            l.lease_until),
        case when exists (select from bridge as o where o.alive)
            then '-- another bridge takes them over within seconds'
            else '-- start one, which takes them over: stagebus bridge' end
    from lost as l
    left join bridge as b on b.bridge_id = l.claimed_by
    union all
    select 'bridges are busy', null,
        format('%s batches wait for %s, the first of them since %s; %s wait in all, and %s are '
            'being published', w.batches, w.destination, w.ready_at, s.waiting_batches,
            s.publishing_batches),
        '-- more of them: stagebus bridge --processes 4'
    from waiting as w
    join stagebus.destination_status as s on s.destination = w.destination
    cross join moment as m
    where s.status = 'active' and coalesce(s.throttled_until <= m.now, true)
        and s.limited_until is null
        and w.ready_at < m.now - interval '1 minute'
        and exists (select from bridge as b where b.alive)
        and not exists (select from lost);
$$;
comment on function stagebus.causes_in_publishing(uuid) is
    'The part of why_stuck about destinations and bridges.';
