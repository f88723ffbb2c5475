create or replace view stagebus.destination_status as
select
    d.destination, d.entity_kind, d.entity,
    case when d.paused_at is null then 'active' else 'paused' end as status,
    d.paused_at, d.pause_reason, d.probe_at, d.throttled_until,
    w.batches as waiting_batches, w.oldest as oldest_ready_at,
    (
        select coalesce(sum(l.batches), 0)::bigint
        from stagebus.leased_batches() as l
        where l.destination = d.destination
    ) as publishing_batches,
    d.max_send_bytes, d.max_send_messages, d.duplicate_window, d.old_repeats, d.per_second,
    case when d.paid_until > stagebus.clock() then d.paid_until end as limited_until,
    stagebus.clock() - w.oldest as oldest_ready_age
from stagebus_data.destinations as d
cross join lateral stagebus.depth_of_destination(d.destination) as w;
comment on view stagebus.destination_status is
    'Where messages go, and whether they do: not before throttled_until. paused with a probe_at: '
    'the broker refuses it, and one batch is tried then; without: until resume_destination. '
    'limited_until: what was claimed is, at per_second tasks a second, paid until then.';
