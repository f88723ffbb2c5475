-- Why nothing of a stage may be started yet: it is not whole, or not confirmed.
create or replace function stagebus.causes_before_publishing(p_job_id uuid)
returns table (cause text, stage integer, evidence text, fix text)
language sql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
    select 'unsealed stage', s.stage,
        format('it has %s tasks so far and is open for more since %s', s.task_count, s.created_at),
        format('select * from stagebus.seal_stage(%L, %s);', p_job_id, s.stage)
    from stagebus_data.stages as s
    where s.job_id = p_job_id and s.state = 'filling'
    union all
    select 'provisional stage', s.stage,
        format('%s of %s batches are published; workers wait until all are, or until %s, when it '
            'is withdrawn', b.queued, s.batch_count, s.confirm_by),
        format('select * from stagebus.withdraw_stage(%L, %s);  -- gives it up, if nobody waits '
            'for it', p_job_id, s.stage)
    from stagebus_data.stages as s
    cross join lateral (
        select count(*) as queued
        from stagebus_data.batches as q
        where q.job_id = s.job_id and q.stage = s.stage and q.state = 'queued'
    ) as b
    where s.job_id = p_job_id and s.state = 'provisional' and s.ending is null;
$$;
comment on function stagebus.causes_before_publishing(uuid) is
    'The part of why_stuck about stages that are filling or provisional.';
