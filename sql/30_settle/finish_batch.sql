-- All of a batch is on the broker.
create or replace function stagebus.finish_batch(
    p_job_id uuid,
    p_batch_id uuid,
    p_claim_epoch integer
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
    v_stage record;
begin
    update batches as b set
        state = 'queued',
        published_through = b.last_index,
        queued_at = v_now,
        start_due_at = case when b.kind = 'tasks' then
            v_now + nullif(ty.start_timeout, interval '0') end,
        claimed_by = null,
        lease_until = null,
        last_error = null,
        unanswered_since = null,
        unanswered_through = null
    from stages as s
    join task_types as ty on ty.task_type = s.task_type
    where s.job_id = b.job_id and s.stage = b.stage
        and b.job_id = p_job_id and b.batch_id = p_batch_id
        and b.state = 'publishing' and b.claim_epoch = p_claim_epoch
        and s.ending is distinct from 'withdraw'
    returning s.stage, s.state into v_stage;
    if not found then
        -- Told again because the answer was lost.
        return exists (
            select from batches as b
            where b.job_id = p_job_id and b.batch_id = p_batch_id
                and b.state = 'queued' and b.claim_epoch = p_claim_epoch);
    end if;
    if v_stage.state = 'provisional' then
        perform stagebus.confirm_stage(p_job_id, v_stage.stage);
    end if;
    return true;
end;
$$;
comment on function stagebus.finish_batch(uuid, uuid, integer) is
    'Marks the batch queued, after its last page was read and its last send accepted. With the '
    'last batch of a provisional stage the stage is confirmed. False when the batch is no longer '
    'this claim''s, or its stage is withdrawn. Locks the batch, the stage of a provisional one, '
    'the job.';
