-- The broker takes every other task of the batch, but not this one: too big, or refused for what is
-- in it. It has failed, with the reason; the rest goes on.
create or replace function stagebus.fail_unsendable_task(
    p_job_id uuid,
    p_batch_id uuid,
    p_claim_epoch integer,
    p_task_index integer,
    p_error text
) returns boolean
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
set enable_seqscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_now   timestamptz := stagebus.clock();
    v_batch record;
    v_task  record;
begin
    perform stagebus.require_read_committed('fail_unsendable_task');
    -- The batch before its tasks, against the order of locks: nobody who has a task locked waits
    -- for a batch.
    update batches as b set published_through = case s.state
        when 'provisional' then b.published_through else p_task_index end
    from stages as s
    where s.job_id = b.job_id and s.stage = b.stage
        and b.job_id = p_job_id and b.batch_id = p_batch_id and b.kind = 'tasks'
        and not b.atomic
        and b.state = 'publishing' and b.claim_epoch = p_claim_epoch
        and p_task_index > b.published_through and p_task_index <= b.last_index
    returning b.stage, s.state as stage_state into v_batch;
    if not found then
        -- Told again because the answer was lost.
        return exists (
            select from batches as b
            where b.job_id = p_job_id and b.batch_id = p_batch_id and b.kind = 'tasks'
                and not b.atomic
                and b.state = 'publishing' and b.claim_epoch = p_claim_epoch
                and b.published_through >= p_task_index);
    end if;
    -- It stays provisional: this batch is not queued.
    if v_batch.stage_state = 'provisional' then
        perform stagebus.withdraw_provisional(
            p_job_id, v_batch.stage, format('task %s cannot be sent: %s', p_task_index, p_error));
        return false;
    end if;
    update tasks as t set state = 'failed'
    where t.job_id = p_job_id and t.stage = v_batch.stage and t.task_index = p_task_index
        and t.state is null
    returning t.attempt into v_task;
    -- Otherwise it was cancelled meanwhile.
    if found then
        insert into failed_tasks (job_id, stage, task_index, attempt, error, failed_at)
        values (
            p_job_id, v_batch.stage, p_task_index, v_task.attempt, left(p_error, 8192), v_now);
        perform stagebus.count_ended_tasks(
            array[p_job_id], array[v_batch.stage], array[p_task_index], 'failed');
    end if;
    return true;
end;
$$;
comment on function stagebus.fail_unsendable_task(uuid, uuid, integer, integer, text) is
    'Fails a task that the broker does not take, whatever its attempts, and moves '
    'published_through past it; its stage, if it is provisional, is withdrawn instead. False then, '
    'or when the batch is no longer this claim''s, is atomic, or of kind job. Locks the batch, the '
    'task, its slot, group, stage, job. Raises SB115.';
