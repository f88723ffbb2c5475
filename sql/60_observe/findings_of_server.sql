-- What holds back vacuum or fills a queue of the server: sessions, prepared transactions, slots.
create or replace function stagebus.findings_of_server()
returns table (severity text, finding text, fix text)
language sql
stable
security invoker
set search_path = stagebus_data, stagebus, pg_temp
as $$
    with moment as materialized (select stagebus.clock() as now),
    session as materialized (
        select a.*
        from pg_stat_activity as a
        where a.pid <> pg_backend_pid() and a.usename is not null
            -- Vacuum waits for no other vacuum.
            and not exists (select from pg_stat_progress_vacuum as v where v.pid = a.pid)
    )
    -- Of another role's session only its age in transactions may be shown.
    select
        case when a.xact_start < m.now - interval '1 hour' then 'critical' else 'warning' end,
        format('session %s (%s, %s%s) holds back vacuum: its transaction is open %s', a.pid,
            a.usename, coalesce(nullif(a.application_name, ''), 'no application_name'),
            coalesce(', ' || a.state, ''),
            coalesce('since ' || a.xact_start,
                format('for %s transactions of others', age(a.backend_xmin)))),
        case when a.backend_type = 'walsender'
            then '-- on its standby: end what has been running longest, which hot_standby_feedback '
                'tells of'
            else format('select pg_terminate_backend(%s);', a.pid) end
    from session as a
    cross join moment as m
    where coalesce(a.datname, current_database()) = current_database()
        and coalesce(a.backend_xmin, a.backend_xid) is not null
        and coalesce(
            a.xact_start < m.now - interval '5 minutes',
            age(coalesce(a.backend_xmin, a.backend_xid)) > 100000)
    union all
    select 'critical',
        format('the prepared transaction %s (%s) holds back vacuum, and its locks, since %s',
            p.gid, p.owner, p.prepared),
        format('rollback prepared %L;  -- or commit prepared', p.gid)
    from pg_prepared_xacts as p
    cross join moment as m
    where p.database = current_database() and p.prepared < m.now - interval '5 minutes'
    union all
    select 'warning',
        format('the replication slot %s is not in use, and keeps back %s', s.slot_name,
            case when coalesce(s.xmin, s.catalog_xmin) is null then 'the removal of old WAL'
                else 'vacuum, and the removal of old WAL' end),
        format('select pg_drop_replication_slot(%L);  -- if its standby does not come back',
            s.slot_name)
    from pg_replication_slots as s
    where not s.active and coalesce(s.xmin::text, s.catalog_xmin::text, s.restart_lsn::text)
        is not null
    union all
    select case when q.used > 0.5 then 'critical' else 'warning' end,
        format('the queue of notifications is full to %s %%; a session that listens has a '
            'transaction open, perhaps %s', round(100 * q.used::numeric),
            coalesce(format('%s (%s), since %s', o.pid, o.usename, o.xact_start), 'hidden')),
        coalesce(format('select pg_terminate_backend(%s);', o.pid),
            '-- as a member of pg_read_all_stats, doctor() names the session')
    from (select pg_notification_queue_usage() as used) as q
    left join (
        select a.pid, a.usename, a.xact_start
        from session as a
        where a.state like 'idle in transaction%'
        order by a.xact_start
        limit 1
    ) as o on true
    where q.used > 0.1
    union all
    select 'warning',
        format('%s has %s dead rows beside %s, and was vacuumed %s', t.relname, t.n_dead_tup,
            t.n_live_tup, coalesce('last at '
            || greatest(t.last_vacuum, t.last_autovacuum), 'never')),
        format('vacuum (analyze) %I.%I;  -- as its owner', t.schemaname, t.relname)
    from pg_stat_user_tables as t
    where t.schemaname = 'stagebus_data' and t.n_dead_tup > 10000 + 0.4 * t.n_live_tup;
$$;
comment on function stagebus.findings_of_server() is
    'The part of doctor about sessions, prepared transactions, replication slots, the queue of '
    'notifications and vacuum, as far as its caller may see them.';
