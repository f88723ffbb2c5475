-- From the commit on nothing of the stage is claimed or started; its tasks are cancelled in steps.
create or replace function stagebus.begin_cancelling(
    p_job_id uuid,
    p_stage integer,
    p_ending text
) returns void
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_state text;
begin
    update stages as s set ending = p_ending
    where s.job_id = p_job_id and s.stage = p_stage and s.ended_at is null
        and s.state <> 'provisional'
    returning s.state into v_state;
    if v_state = 'filling' then
        -- Its tasks get their counters, so that they can be counted as cancelled.
        perform stagebus.seal_stage(p_job_id, p_stage);
    end if;
end;
$$;
comment on function stagebus.begin_cancelling(uuid, integer, text) is
    'Marks a stage that has not ended, and that the caller has locked, as ending (cancel or '
    'deadline) and seals it if it is filling; without tasks it ends at once. A provisional one is '
    'left.';
