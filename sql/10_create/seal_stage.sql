-- The third step: the stage is whole. From the commit on bridges claim it, and workers start it.
create or replace function stagebus.seal_stage(
    p_job_id uuid,
    p_stage integer
) returns stagebus.stage_summary
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    return stagebus.open_for_work(stagebus.lock_filling_stage(p_job_id, p_stage));
end;
$$;
comment on function stagebus.seal_stage(uuid, integer) is
    'Seals a filling stage, which makes its batches claimable at commit, and returns its summary. '
    'A stage without tasks completes at once. Locks the stage, then the job; '
    'notifies stagebus_ready, unless batches of its destination wait already. '
    'Raises SB105, SB106, SB126.';
