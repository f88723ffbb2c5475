-- Why a single batch is not published: it waits for an operator, or for its next try.
create or replace function stagebus.causes_in_batches(p_job_id uuid)
returns table (cause text, stage integer, evidence text, fix text)
language sql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
    with stopped as (
        select b.stage, b.state, b.kind, count(*) as batches, sum(b.task_count) as tasks
        from stagebus_data.batches as b
        join stagebus_data.stages as s on s.job_id = b.job_id and s.stage = b.stage
        where b.job_id = p_job_id and b.state in ('failed', 'held')
            -- Otherwise the order that ends the stage takes care of them.
            and (s.ending is null or b.kind = 'job')
        group by b.stage, b.state, b.kind
    ),
    failing as (
        select b.stage, count(*) as batches, max(b.publish_attempts) as attempts,
            min(b.ready_at) as ready_at, max(b.last_error) as error
        from stagebus_data.batches as b
        where b.job_id = p_job_id and b.state = 'pending_queue' and b.publish_attempts > 0
        group by b.stage
    ),
    given_back as (
        select b.stage, b.destination, count(*) as batches, max(b.claim_epoch) as times,
            max(b.last_error) as error
        from stagebus_data.batches as b
        where b.job_id = p_job_id and b.state = 'pending_queue' and b.publish_attempts = 0
            and b.claim_epoch >= 3 and b.last_error is not null
        group by b.stage, b.destination
    )
    select
        case s.state when 'failed' then 'failed batch' else 'held batch' end, s.stage,
        format('%s batches with %s tasks %s: %s', s.batches, s.tasks,
            case s.state when 'failed' then 'have spent their publish attempts' else 'are held' end,
            coalesce(e.last_error, 'by an operator, as the view orders shows')),
        format('select stagebus.%s(b.job_id, b.batch_id) from stagebus.batches as b'
            ' where b.job_id = %L and b.stage = %s and b.kind = %L and b.status = %L'
            ' order by b.batch_id;',
            case s.state when 'failed' then 'retry_batch' else 'unhold_batch' end,
            p_job_id, s.stage, s.kind, s.state)
    from stopped as s
    -- One error is fetched, and not all of them sorted.
    cross join lateral (
        select b.last_error
        from stagebus_data.batches as b
        where b.job_id = p_job_id and b.stage = s.stage and b.state = s.state and b.kind = s.kind
        order by b.reported_at desc nulls last
        limit 1
    ) as e
    union all
    select 'sends fail', f.stage,
        format('%s batches have failed up to %s times: %s', f.batches, f.attempts, f.error),
        format('-- mend what the error says; they are tried again from %s on', f.ready_at)
    from failing as f
    union all
    select 'broker away', g.stage,
        format('%s batches were claimed up to %s times and given back: %s', g.batches, g.times,
            g.error),
        '-- mend what the error says; bridges try again every few seconds'
    from given_back as g
    join stagebus_data.destinations as d on d.destination = g.destination
    cross join (select stagebus.clock() as now) as m
    -- Otherwise the destination is the cause.
    where d.paused_at is null and coalesce(d.throttled_until <= m.now, true);
$$;
comment on function stagebus.causes_in_batches(uuid) is
    'The part of why_stuck about batches that failed, are held, or are tried again and again.';
