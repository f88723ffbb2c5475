create or replace view stagebus.bridges as
select
    b.bridge_id, b.seen_at > stagebus.clock() - interval '1 minute' as alive, b.version, b.host,
    b.pid, b.started_at, b.seen_at, coalesce(l.batches, 0) as batches,
    coalesce(l.tasks, 0) as tasks, l.lease_until, b.code_digest
from stagebus_data.bridges as b
left join lateral (
    select count(*) as batches, sum(h.task_count) as tasks, min(h.lease_until) as lease_until
    from stagebus_data.batches as h
    where h.lease_until is not null and h.claimed_by = b.bridge_id
) as l on true;
comment on view stagebus.bridges is
    'The bridges. alive: it was heard of in the last minute; it speaks every 10 seconds, and goes '
    'from here when it drains, or a day after its last word. batches, tasks: what it has leased, '
    'lease_until: the first of these leases.';
