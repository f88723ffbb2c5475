-- A bridge that needs longer than its lease says so in time.
create or replace function stagebus.extend_lease(
    p_job_id uuid,
    p_batch_id uuid,
    p_claim_epoch integer,
    p_lease interval
) returns boolean
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
set enable_seqscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_now timestamptz := stagebus.clock();
begin
    update batches as b set lease_until = v_now + p_lease
    where b.job_id = p_job_id and b.batch_id = p_batch_id
        and b.state = 'publishing' and b.claim_epoch = p_claim_epoch
        and not exists (
            select
            from stages as s
            where s.job_id = b.job_id and s.stage = b.stage and s.ending = 'withdraw');
    return found;
end;
$$;
comment on function stagebus.extend_lease(uuid, uuid, integer, interval) is
    'True when the lease now runs from here on; false when the batch is no longer this claim''s, '
    'or its stage is withdrawn.';
