-- Few rows, however many batches a stage has; of one that has ended job_progress tells as much.
create or replace view stagebus.batch_status as
select
    s.job_id, s.stage, b.destination, b.status, b.batches, b.tasks, b.sends,
    stagebus.clock() - b.ready_at as oldest_ready_age, b.lease_until, b.publish_attempts,
    b.last_error
from stagebus_data.stages as s
-- Stage by stage, along an index, whatever the statistics say.
cross join lateral (
    select
        n.destination, n.state::text as status, count(*) as batches, sum(n.task_count) as tasks,
        sum(n.send_count) as sends, min(n.ready_at) filter (where n.state = 'pending_queue')
            as ready_at,
        min(n.lease_until) as lease_until, max(n.publish_attempts) as publish_attempts,
        min(n.last_error) as last_error
    from stagebus_data.batches as n
    where n.job_id = s.job_id and n.stage = s.stage and n.kind = 'tasks'
    group by n.destination, n.state
) as b
where s.ended_at is null
    and (s.job_id < (select h.hidden_from from stagebus_data.retention as h)
        or s.job_id >= (select h.hidden_until from stagebus_data.retention as h));
comment on view stagebus.batch_status is
    'The batches of each stage that goes on, a row for each status: how many, with how many tasks, '
    'in how many sends. oldest_ready_age: how long the first of them has been ready; below 0: it '
    'waits until then. lease_until: the first of their leases. publish_attempts: the most of one. '
    'last_error: of one of them.';
