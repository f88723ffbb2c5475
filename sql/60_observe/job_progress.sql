-- Reads counters and batches, never tasks.
create or replace view stagebus.job_progress as
select
    j.job_id, j.job_type, j.state::text as job_status, s.stage, s.task_type,
    s.state::text as stage_status, s.task_count::integer as tasks,
    greatest(0, s.task_count - c.ended - p.processing - q.on_queue - p.retry_wait)
        as pending_queue,
    q.on_queue as queued,
    p.processing, p.retry_wait, c.completed, c.failed, c.cancelled,
    case when s.task_count > 0 then round(100.0 * c.ended / s.task_count, 1) end as percent,
    b.batches,
    b.queued_batches,
    s.name, s.group_value, r.rate,
    case when s.ended_at is null
        then r.now + make_interval(secs => ((s.task_count - c.ended) / nullif(r.rate, 0))::float8)
        end as eta
from stagebus_data.stages as s
join stagebus_data.jobs as j on j.job_id = s.job_id
cross join lateral (
    select o.completed, o.failed, o.cancelled, o.completed + o.failed + o.cancelled as ended
    from (
        select
            s.completed + coalesce(sum(l.completed), 0) as completed,
            s.failed + coalesce(sum(l.failed), 0) as failed,
            s.cancelled + coalesce(sum(l.cancelled), 0) as cancelled
        from (
            select g.completed, g.failed, g.cancelled
            from stagebus_data.counter_groups as g
            where g.job_id = s.job_id and g.stage = s.stage and g.open_slots > 0
            union all
            select sl.completed, sl.failed, sl.cancelled
            from stagebus_data.counter_groups as g
            join stagebus_data.counter_slots as sl on sl.job_id = g.job_id
                and sl.stage = g.stage and sl.slot_no between g.group_no * 64
                and g.group_no * 64 + 63
            where g.job_id = s.job_id and g.stage = s.stage and g.open_slots > 0
                and sl.open_tasks > 0
        ) as l
    ) as o
) as c
cross join lateral (
    select
        (select count(*) from stagebus_data.running_attempts as r
            where r.job_id = s.job_id and r.stage = s.stage) as processing,
        (select count(*) from stagebus_data.waiting_retries as w
            where w.job_id = s.job_id and w.stage = s.stage) as retry_wait
) as p
cross join lateral (
    select
        coalesce(sum(bt.published_through - bt.first_index + 1)
            filter (where not bt.scattered), 0) as published,
        coalesce(sum(bt.task_count)
            filter (where bt.scattered and bt.state <> 'queued'), 0) as republishing,
        count(*) as batches,
        count(*) filter (where bt.state = 'queued') as queued_batches
    from stagebus_data.batches as bt
    where bt.job_id = s.job_id and bt.stage = s.stage and bt.kind = 'tasks'
) as b
cross join lateral (
    select greatest(0, b.published - b.republishing - c.ended - p.processing - p.retry_wait)
        as on_queue
) as q
cross join lateral (
    select t.now, round((c.ended / nullif(extract(epoch from
        coalesce(s.ended_at, t.now) - s.sealed_at), 0))::numeric, 1) as rate
    from (select stagebus.clock() as now) as t
) as r
where s.job_id < (select h.hidden_from from stagebus_data.retention as h)
    or s.job_id >= (select h.hidden_until from stagebus_data.retention as h);
comment on view stagebus.job_progress is
    'A row per stage: how many of its tasks are in each state. A task that a worker started '
    'before its batch was recorded as queued may for that moment be missing from pending_queue. '
    'rate: tasks per second that have ended since the stage was sealed; eta: when the last one '
    'will have at that rate.';
