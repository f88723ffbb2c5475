-- What has no open task left and has not ended, or the other way round. The last task ends its
-- stage in its own transaction, so that nobody ever sees such a stage in ordinary work.
create or replace function stagebus.ends_that_are_due(p_job_id uuid)
returns table (stage integer, of_job boolean, difference text)
language sql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
    with looked_at as (
        select s.*, stagebus.stage_end_state(s) as judged
        from stagebus_data.stages as s
        where s.job_id = p_job_id and s.state not in ('filling', 'provisional')
    ),
    compared as (
        select l.stage, case
            when l.state = 'open' and l.open_groups = 0 then 'no task is open, and it has not ended'
            when l.ended_at is not null and l.open_groups > 0
                then format('tasks are open, and it has ended: it is %s', l.state)
            -- What was ordered to end was judged with that, and need not be now.
            when l.ended_at is not null and l.ending is null and l.state <> l.judged
                then format('it is %s, and by its counts %s', l.state, l.judged)
            end as difference
        from looked_at as l
    ),
    last_one as (
        select s.*
        from stagebus_data.stages as s
        where s.job_id = p_job_id
        order by s.stage desc
        limit 1
    )
    select c.stage, false, c.difference
    from compared as c
    where c.difference is not null
    union all
    select l.stage, true, 'all its stages have ended, and the job has not and is not due'
    from last_one as l
    join stagebus_data.jobs as j on j.job_id = l.job_id
    where j.ended_at is null
        and (
            j.cancelling
            -- With a plan it may wait for an operator; advance_job looks at it at any time.
            or j.plan_version is null and not l.repair
            and (l.state <> 'failed' or l.on_failure = 'fail_job'))
        and not exists (
            select from stagebus_data.stages as s where s.job_id = p_job_id and s.ended_at is null)
        and not exists (
            select from stagebus_data.due_advances as d where d.job_id = p_job_id);
$$;
comment on function stagebus.ends_that_are_due(uuid) is
    'A row for each stage of the job whose state is not what its counters say, and one (of_job) if '
    'the job should have ended with its last stage, or be due to advance after it.';
