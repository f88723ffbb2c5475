-- The first part of repair_job: each misplaced task gets what takes it on. One that is in no batch
-- gets another attempt: the message of this one may be under way, and a broker would drop a
-- second that has its id.
create or replace function stagebus.repair_tasks(p_job_id uuid)
returns table (stage integer, task_index integer, fault text)
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_now     timestamptz := stagebus.clock();
    v_stages  integer[];
    v_indexes integer[];
    v_faults  text[];
begin
    select array_agg(m.stage), array_agg(m.task_index) into v_stages, v_indexes
    from stagebus.misplaced_tasks(p_job_id) as m;
    if v_stages is null then
        return;
    end if;
    perform from (
        select
        from tasks as t
        where t.job_id = p_job_id
            and (t.stage, t.task_index) in (select * from unnest(v_stages, v_indexes))
        order by t.stage, t.task_index
        for no key update
    ) as locked;
    -- What is so under the lock; what got misplaced meanwhile is the next repair's.
    select array_agg(m.stage), array_agg(m.task_index), array_agg(m.fault)
    into v_stages, v_indexes, v_faults
    from stagebus.misplaced_tasks(p_job_id) as m
    where (m.stage, m.task_index) in (select * from unnest(v_stages, v_indexes));

    delete from running_attempts as r
    using unnest(v_stages, v_indexes, v_faults) as m (stage, task_index, fault)
    where m.fault = 'leased without running'
        and r.job_id = p_job_id and r.stage = m.stage and r.task_index = m.task_index;
    delete from waiting_retries as w
    using unnest(v_stages, v_indexes, v_faults) as m (stage, task_index, fault)
    where m.fault = 'timed without being retried'
        and w.job_id = p_job_id and w.stage = m.stage and w.task_index = m.task_index;
    update tasks as t set state = 'retry_wait', attempt = t.attempt + 1
    from unnest(v_stages, v_indexes, v_faults) as m (stage, task_index, fault)
    where m.fault = 'in no batch'
        and t.job_id = p_job_id and t.stage = m.stage and t.task_index = m.task_index
        and t.state is null;
    insert into waiting_retries (job_id, stage, task_index, due_at, error)
    select p_job_id, m.stage, m.task_index, v_now, format('repair_job found it %s', m.fault)
    from unnest(v_stages, v_indexes, v_faults) as m (stage, task_index, fault)
    where m.fault in ('in no batch', 'to be retried without a time');
    -- Its worker may be at it: it has the time that a task has from its start.
    insert into running_attempts (job_id, stage, task_index, attempt, started_at, lease_until)
    select p_job_id, t.stage, t.task_index, t.attempt, v_now, v_now + ty.timeout
    from unnest(v_stages, v_indexes, v_faults) as m (stage, task_index, fault)
    join tasks as t on t.job_id = p_job_id and t.stage = m.stage and t.task_index = m.task_index
    join stages as s on s.job_id = p_job_id and s.stage = m.stage
    join task_types as ty on ty.task_type = s.task_type
    where m.fault = 'running without a lease';

    return query select * from unnest(v_stages, v_indexes, v_faults);
end;
$$;
comment on function stagebus.repair_tasks(uuid) is
    'Mends the misplaced tasks of the job, and returns them. gather_retries puts those that were '
    'in no batch into new ones. Locks them in key order.';
