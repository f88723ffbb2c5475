-- Reads counters and batches, never tasks: of a stage that has ended its own row, and how many
-- retries were batches of their own; of any other the slots that are open, and the batches that are
-- not queued: what they miss is not published; of one that is published again it was noted how many
-- of its tasks were not started then.
create or replace view stagebus.job_progress as
select
    j.job_id, j.job_type, j.state::text as job_status, s.stage, s.task_type,
    s.state::text as stage_status, s.task_count::integer as tasks,
    greatest(0, s.task_count - c.ended - p.processing - q.on_queue - p.retry_wait)
        as pending_queue,
    q.on_queue as queued,
    p.processing, p.retry_wait, c.completed, c.failed, c.cancelled,
    case when s.task_count > 0 then round(100.0 * c.ended / s.task_count, 1) end as percent,
    s.batch_count + t.batches as batches,
    s.batch_count + t.batches - b.waiting - t.waiting as queued_batches,
    s.name, s.group_value, r.rate,
    case when s.ended_at is null
        then r.now + make_interval(secs => ((s.task_count - c.ended) / nullif(r.rate, 0))::float8)
        end as eta
from stagebus_data.stages as s
join stagebus_data.jobs as j on j.job_id = s.job_id
-- The groups that are open, none of what has ended; between the first and the last of them, if any,
-- the slots that are.
cross join lateral (
    select
        min(g.group_no) * 64 as first_slot, max(g.group_no) * 64 + 63 as last_slot,
        coalesce(sum(g.completed), 0) as completed, coalesce(sum(g.failed), 0) as failed,
        coalesce(sum(g.cancelled), 0) as cancelled
    from stagebus_data.counter_groups as g
    where s.ended_at is null and g.job_id = s.job_id and g.stage = s.stage and g.open_slots > 0
) as og
cross join lateral (
    select
        coalesce(sum(l.completed), 0) as completed, coalesce(sum(l.failed), 0) as failed,
        coalesce(sum(l.cancelled), 0) as cancelled
    from stagebus_data.counter_slots as l
    where l.job_id = s.job_id and l.stage = s.stage
        and l.slot_no between og.first_slot and og.last_slot and l.open_tasks > 0
) as os
cross join lateral (
    select o.completed, o.failed, o.cancelled, o.completed + o.failed + o.cancelled as ended
    from (
        select
            s.completed + og.completed + os.completed as completed,
            s.failed + og.failed + os.failed as failed,
            s.cancelled + og.cancelled + os.cancelled as cancelled
    ) as o
) as c
cross join lateral (
    select
        (select count(*) from stagebus_data.running_attempts as ra
            where s.ended_at is null and ra.job_id = s.job_id and ra.stage = s.stage) as processing,
        (select count(*) from stagebus_data.waiting_retries as w
            where s.ended_at is null and w.job_id = s.job_id and w.stage = s.stage) as retry_wait
    -- Counted once, and not wherever they are mentioned.
    offset 0
) as p
-- Of a stage that ended without a cancelled task every batch was published. What is cancelled has
-- nothing to publish once the cancelling is over: its tasks have ended, or are retries.
cross join lateral (
    select
        count(*) as waiting,
        coalesce(sum(least(bt.unstarted, bt.last_index - bt.published_through)) filter (
            where bt.state <> 'cancelled' or s.ending is not null), 0) as unpublished
    from stagebus_data.batches as bt
    where (s.ended_at is null or s.cancelled > 0)
        and bt.job_id = s.job_id and bt.stage = s.stage and not bt.scattered
        and bt.state <> 'queued'
) as b
-- The batches of retries, which have tasks that another one has, too.
cross join lateral (
    select
        count(*) as batches, count(*) filter (where bt.state <> 'queued') as waiting,
        coalesce(sum(least(
            bt.unstarted, bt.task_count, bt.last_index - bt.published_through)) filter (
            where bt.state <> 'queued' and (bt.state <> 'cancelled' or s.ending is not null)), 0)
            as unpublished
    from stagebus_data.batches as bt
    where bt.job_id = s.job_id and bt.stage = s.stage and bt.scattered and bt.kind = 'tasks'
) as t
cross join lateral (
    select greatest(0, case when s.batch_count > 0 then s.task_count else 0 end - b.unpublished
        - t.unpublished - c.ended - p.processing - p.retry_wait) as on_queue
) as q
cross join lateral (
    select n.now, round((c.ended / nullif(extract(epoch from
        coalesce(s.ended_at, n.now) - s.sealed_at), 0))::numeric, 1) as rate
    from (select stagebus.clock() as now) as n
) as r
where s.job_id < (select h.hidden_from from stagebus_data.retention as h)
    or s.job_id >= (select h.hidden_until from stagebus_data.retention as h);
comment on view stagebus.job_progress is
    'A row per stage: how many of its tasks are in each state. Until a batch is queued, those of '
    'its tasks that workers have started all the same (by a message of its dispatch before, or one '
    'whose send is not recorded yet) count as pending_queue in place of others that are queued; '
    'while a stage is being cancelled only the sum of the two is exact. '
    'rate: tasks per second that have ended since the stage was sealed; eta: when the last one '
    'will have at that rate.';
