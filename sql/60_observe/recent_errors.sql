-- Each kind is found by an index that holds nothing else, the last ones of it first.
create or replace view stagebus.recent_errors as
with send as (
    select s.recorded_at as at, 'send' as kind, s.job_id, b.stage,
        format('batch %s, tasks %s to %s: %s', s.batch_id, s.first_index, s.last_index, s.outcome)
            as what, s.error
    from (
        select l.*
        from stagebus_data.sends as l
        where l.outcome <> 'accepted'
        order by l.recorded_at desc
        limit 100
    ) as s
    join stagebus_data.batches as b on b.job_id = s.job_id and b.batch_id = s.batch_id
),
batch as (
    select b.reported_at as at, 'batch' as kind, b.job_id, b.stage,
        format('batch %s is %s after %s attempts', b.batch_id, b.state, b.publish_attempts)
            as what, b.last_error as error
    from stagebus_data.batches as b
    where b.state in ('failed', 'held') and b.last_error is not null
    order by b.reported_at desc nulls last
    limit 100
),
task as (
    select f.failed_at as at, 'task' as kind, f.job_id, f.stage,
        format('task %s failed in attempt %s', f.task_index, f.attempt) as what, f.error
    from stagebus_data.failed_tasks as f
    order by f.failed_at desc
    limit 100
),
advance as (
    select a.next_try_at as at, 'advance' as kind, a.job_id, null::integer as stage,
        format('%s; failed %s times, tried again then', a.why, a.failures) as what, a.error
    from stagebus_data.job_advances as a
    where a.failures > 0
    order by a.next_try_at desc
    limit 100
),
step as (
    select o.ordered_at as at, 'order' as kind, o.job_id, o.stage,
        format('order %s, %s', o.order_id, o.action) as what, o.last_error as error
    from stagebus_data.orders as o
    where o.state = 'working' and o.last_error is not null
    order by o.order_id desc
    limit 100
)
select e.at, e.kind, e.job_id, e.stage, e.what, e.error
from (
    select * from send
    union all
    select * from batch
    union all
    select * from task
    union all
    select * from advance
    union all
    select * from step
) as e
-- Those of old weeks are seldom among them.
where e.job_id < (select r.hidden_from from stagebus_data.retention as r)
    or e.job_id >= (select r.hidden_until from stagebus_data.retention as r)
order by e.at desc nulls last
limit 200;
comment on view stagebus.recent_errors is
    'What failed last, newest first, 200 rows at most and 100 of a kind: sends that the broker did '
    'not accept, batches that wait for an operator, tasks that failed for good, plans that do not '
    'advance (at: the next try), orders whose last step failed (at: when it was given).';
