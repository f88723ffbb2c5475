-- A send was refused, or nobody knows what became of it. The batch waits and is tried again, its
-- accepted part not; when its attempts are spent it waits for an operator.
create or replace function stagebus.fail_batch(
    p_job_id uuid,
    p_batch_id uuid,
    p_claim_epoch integer,
    p_error text,
    p_max_attempts integer default 10
) returns text
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
set enable_seqscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_now   timestamptz := stagebus.clock();
    v_state text;
    v_kind  text;
    v_stage integer;
begin
    update batches as b set
        state = case when b.publish_attempts + 1 >= p_max_attempts
            then 'failed' else 'pending_queue' end,
        publish_attempts = b.publish_attempts + 1,
        -- 1 s, 2 s, 4 s … at most a minute.
        ready_at = v_now + interval '1 second' * least(60, 2 ^ least(b.publish_attempts, 6)),
        last_error = p_error,
        reported_at = v_now,
        claimed_by = null,
        lease_until = null
    where b.job_id = p_job_id and b.batch_id = p_batch_id
        and b.state = 'publishing' and b.claim_epoch = p_claim_epoch
    returning b.state, b.kind, b.stage into v_state, v_kind, v_stage;
    if not found then
        -- Told again because the answer was lost: nobody has claimed it since.
        select b.state into v_state
        from batches as b
        where b.job_id = p_job_id and b.batch_id = p_batch_id
            and b.state in ('pending_queue', 'failed') and b.claim_epoch = p_claim_epoch;
    elsif v_state = 'failed' and v_kind = 'tasks' then
        perform stagebus.withdraw_provisional(
            p_job_id, v_stage, format('batch %s could not be published: %s', p_batch_id, p_error));
    end if;
    return v_state;
end;
$$;
comment on function stagebus.fail_batch(uuid, uuid, integer, text, integer) is
    'Spends a publish attempt and returns the state the batch now has: pending_queue, claimable '
    'after a growing delay, or failed; told again, the same. With a batch that failed a '
    'provisional stage is withdrawn. Null when the batch is no longer this claim''s. Locks the '
    'batch, the stage.';
