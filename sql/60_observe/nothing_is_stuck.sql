-- The answer where nothing is wrong: how the job runs, or how it ended.
create or replace function stagebus.nothing_is_stuck(p_job_id uuid)
returns table (cause text, stage integer, evidence text, fix text)
language sql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
    select 'runs', p.stage,
        format('%s of %s tasks have ended%s; %s are being worked on, %s on the bus, %s not '
            'published', p.completed + p.failed + p.cancelled, p.tasks,
            case when p.eta is not null
                then format(', %s/s, the last at about %s', p.rate, p.eta) else '' end,
            p.processing, p.queued, p.pending_queue),
        '-- nothing to mend'
    from stagebus.job_progress as p
    where p.job_id = p_job_id and p.stage_status = 'open'
    union all
    select 'runs', null, 'it is between two stages', '-- nothing to mend'
    from stagebus_data.jobs as j
    where j.job_id = p_job_id and j.ended_at is null
        and not exists (
            select from stagebus_data.stages as s
            where s.job_id = p_job_id and s.state = 'open')
    union all
    select 'ended', f.stage,
        format('it is %s since %s%s', j.state, j.ended_at, case f.retry
            when 'cancelled' then format('; %s tasks were cancelled when the deadline of stage %s '
                'had passed', f.tasks, f.stage)
            when 'failed' then format('; %s tasks have failed: %s', f.tasks, f.error) end),
        case f.retry
            when 'cancelled' then format('select * from stagebus.retry_tasks(%L, %s, '
                'status => ''cancelled'');', p_job_id, f.stage)
            when 'failed' then format('select * from stagebus.retry_tasks(%L, %s);', p_job_id,
                f.stage)
            else '-- nothing to mend' end
    from stagebus_data.jobs as j
    left join lateral (
        select s.stage, 'failed' as retry, s.failed as tasks, (
            select e.error
            from stagebus_data.failed_tasks as e
            where e.job_id = s.job_id and e.stage = s.stage
            limit 1
        ) as error
        from stagebus_data.stages as s
        where s.job_id = j.job_id and s.failed > 0
        union all
        select s.stage, 'cancelled', s.cancelled, null
        from stagebus_data.stages as s
        where s.job_id = j.job_id and s.ending = 'deadline' and s.cancelled > 0
    ) as f on true
    where j.job_id = p_job_id and j.ended_at is not null;
$$;
comment on function stagebus.nothing_is_stuck(uuid) is
    'The rows of why_stuck for a job that nothing keeps from going on, or that has ended.';
