-- Why tasks that are published do not end: nobody starts them, their worker died, they fail.
create or replace function stagebus.causes_in_working(p_job_id uuid)
returns table (cause text, stage integer, evidence text, fix text)
language sql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
    with moment as materialized (select stagebus.clock() as now),
    progress as materialized (
        select p.*
        from stagebus.job_progress as p
        join stagebus_data.stages as s on s.job_id = p.job_id and s.stage = p.stage
        where p.job_id = p_job_id and s.state = 'open' and s.ending is null
    ),
    dead as (
        select r.stage, count(*) as attempts, min(r.lease_until) as lease_until,
            min(r.worker) as worker
        from stagebus_data.running_attempts as r
        cross join moment as m
        where r.job_id = p_job_id and r.lease_until < m.now
        group by r.stage
    ),
    -- What an open transaction has changed names it; last attempts that count there wait for it.
    held as (
        select a.stage, min(l.pid) as pid
        from (
            select distinct r.stage, stagebus.slot_of(r.task_index) as slot_no
            from stagebus_data.running_attempts as r
            cross join moment as m
            where r.job_id = p_job_id and r.lease_until < m.now - interval '1 minute'
        ) as a
        join stagebus_data.counter_slots as s on s.job_id = p_job_id and s.stage = a.stage
            and s.slot_no = a.slot_no
        join stagebus_data.counter_groups as g on g.job_id = p_job_id and g.stage = a.stage
            and g.group_no = stagebus.group_of(a.slot_no)
        join pg_locks as l on l.locktype = 'transactionid' and l.granted
            and l.transactionid in (s.xmax, g.xmax)
        group by a.stage
    ),
    failing as (
        select w.stage, count(*) as tasks, min(w.due_at) as due_at
        from stagebus_data.waiting_retries as w
        where w.job_id = p_job_id
        group by w.stage
    )
    select 'dead worker', d.stage,
        format('%s attempts have outlived their lease, the first since %s%s%s', d.attempts,
            d.lease_until, coalesce(', of worker ' || d.worker, ''),
            coalesce('; session ' || h.pid || ' has left a transaction open', '')),
        coalesce('select pg_terminate_backend(' || h.pid || ');  -- if it is left open',
            'select * from stagebus.maintain();  -- ends them 30 seconds after that, as bridges do')
    from dead as d
    left join held as h on h.stage = d.stage
    union all
    select 'not started', p.stage,
        format('%s tasks are on the bus, the last batch of them since %s, and no worker has any '
            'task of the stage', p.queued, q.queued_at),
        format('select stagebus.retry_batch(b.job_id, b.batch_id) from stagebus.batches as b'
            ' where b.job_id = %L and b.stage = %s and b.kind = ''tasks'''
            ' and b.status = ''queued'' order by b.batch_id;'
            '  -- if workers run, and their queue %s is empty', p_job_id, p.stage,
            -- A second line would be a statement.
            regexp_replace(q.entity, '[[:space:][:cntrl:]]+', ' ', 'g'))
    from progress as p
    cross join moment as m
    cross join lateral (
        select max(b.queued_at) as queued_at, max(d.entity) as entity
        from stagebus_data.batches as b
        join stagebus_data.destinations as d on d.destination = b.destination
        where b.job_id = p.job_id and b.stage = p.stage and b.state = 'queued'
            and b.kind = 'tasks'
    ) as q
    where p.queued > 0 and p.processing = 0 and q.queued_at < m.now - interval '1 minute'
    union all
    select 'tasks fail', f.stage,
        format('%s tasks wait for their next attempt, the first until %s, and nothing else is left '
            'of the stage: %s', f.tasks, f.due_at, e.error),
        format('select * from stagebus.retry_tasks(%L, %s, status => ''retry_wait'');  -- does not '
            'wait', p_job_id, f.stage)
    from failing as f
    join progress as p on p.stage = f.stage
    -- One error is fetched, and not all of them sorted.
    cross join lateral (
        select w.error
        from stagebus_data.waiting_retries as w
        where w.job_id = p_job_id and w.stage = f.stage
        order by w.task_index
        limit 1
    ) as e
    where p.completed + p.failed + p.cancelled + p.retry_wait = p.tasks
    union all
    select 'failed stage waits', s.stage,
        case when s.ending = 'deadline'
            then format('its deadline had passed at %s, and %s tasks of %s were cancelled; '
                'on_failure is wait', s.ended_at, s.cancelled, s.task_count)
            else format('it has failed since %s, with %s failed tasks of %s and %s tolerated; '
                'on_failure is wait%s', s.ended_at, s.failed, s.task_count, s.tolerated_failures,
                coalesce(': ' || e.error, '')) end,
        case when s.ending = 'deadline'
            then format('select * from stagebus.retry_tasks(%L, %s, status => ''cancelled'');  -- '
                'it then has no deadline', p_job_id, s.stage)
            else format('select * from stagebus.retry_tasks(%L, %s);  -- or tolerate them: '
                'set_stage(…, tolerated_failures => ''100%%'')', p_job_id, s.stage) end
    from stagebus_data.stages as s
    join stagebus_data.jobs as j on j.job_id = s.job_id
    left join lateral (
        select f.error
        from stagebus_data.failed_tasks as f
        where f.job_id = s.job_id and f.stage = s.stage
        limit 1
    ) as e on true
    where s.job_id = p_job_id and s.state = 'failed' and s.on_failure = 'wait'
        -- Nothing is retried of a job that is being cancelled.
        and j.ended_at is null and not j.cancelling;
$$;
comment on function stagebus.causes_in_working(uuid) is
    'The part of why_stuck about attempts, messages that nobody started, and failures.';
