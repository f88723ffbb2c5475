-- The proof, from the rows alone: every task is in one place, and the counters say the same.
create or replace function stagebus.verify_job(p_job_id uuid)
returns table (
    stage integer,
    created bigint,
    waiting bigint,
    sent bigint,
    running bigint,
    done bigint,
    dead bigint,
    cancelled bigint,
    proved boolean,
    differences text[]
)
language plpgsql
stable
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    -- As the view has them: not what is being removed.
    if not exists (select from stagebus.jobs as j where j.job_id = p_job_id) then
        perform stagebus.raise_error(
            'SB101', format('job %s does not exist', coalesce(p_job_id::text, 'null')),
            'Its creation may have been rolled back.', 'Look it up in the view jobs.');
    end if;
    -- One statement: one snapshot, in which all numbers were true at once.
    return query
    with counted as (
        select s.stage, s.task_count, c.*, d.differences
        from stages as s
        cross join lateral stagebus.places_of_tasks(p_job_id, s.stage) as c
        cross join lateral (
            select array_agg(format('%s: counted %s, found %s', r.what, r.counted, r.found))
                as differences
            from stagebus.recount_stage(p_job_id, s.stage) as r
        ) as d
        where s.job_id = p_job_id and s.ending is distinct from 'withdraw'
    ),
    compared as (
        select c.*,
            case when c.task_count <> c.waiting + c.sent + c.running + c.done + c.dead + c.cancelled
                then array[format('%s tasks were created, %s are anywhere', c.task_count,
                    c.waiting + c.sent + c.running + c.done + c.dead + c.cancelled)]
                else '{}' end
            || case when c.astray > 0 then array[format('%s tasks are in no batch', c.astray)]
                else '{}' end
            || coalesce(c.differences, '{}')
            || array(
                select e.difference
                from stagebus.ends_that_are_due(p_job_id) as e
                where e.stage = c.stage
                order by e.difference) as wrong
        from counted as c
    )
    select c.stage, c.task_count::bigint, c.waiting, c.sent, c.running, c.done, c.dead,
        c.cancelled, cardinality(c.wrong) = 0, c.wrong
    from compared as c
    order by c.stage;
end;
$$;
comment on function stagebus.verify_job(uuid) is
    'A row for each stage: its tasks, counted from their rows: waiting (for their batch, or the '
    'next attempt), sent and not started, running, done, dead (failed) or cancelled. proved: they '
    'add up to created, each that waits has a batch, every counter says what the rows say, and '
    'what has no open task has ended; differences: what does not, which repair_job mends. Reads '
    'all tasks of the job in one snapshot, so that it may run at any time. Raises SB101.';
