create or replace view stagebus.bridges as
select
    b.bridge_id, b.seen_at > stagebus.clock() - interval '1 minute' as alive, b.version, b.host,
    b.pid, b.started_at, b.seen_at, coalesce(l.batches, 0) as batches,
    coalesce(l.tasks, 0) as tasks, l.lease_until, b.code_digest, b.lease
from stagebus_data.bridges as b
left join (
    select h.bridge_id, sum(h.batches)::bigint as batches, sum(h.tasks)::bigint as tasks,
        min(h.lease_until) as lease_until
    from stagebus.leased_batches() as h
    group by h.bridge_id
) as l on l.bridge_id = b.bridge_id;
comment on view stagebus.bridges is
    'The bridges. alive: it was heard of in the last minute; it speaks every 10 seconds, and goes '
    'from here when it drains, or a day after its last word. batches, tasks: what it has leased, '
    'lease_until: the first of these leases; lease: how long one is.';
