-- A stage that its condition passes over: it has completed without tasks, and others go on after
-- it.
create or replace function stagebus.skip_stage(
    p_job_id uuid,
    p_planned stagebus_data.plan_stages
) returns void
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_now timestamptz := stagebus.clock();
begin
    perform stagebus.add_stage(
        p_job_id, p_planned.stage, p_planned.task_type, '{}', p_planned.name);
    update stages as s set
        state = 'completed',
        skipped = true,
        sealed_at = v_now,
        ended_at = v_now
    where s.job_id = p_job_id and s.stage = p_planned.stage and s.state = 'filling';
end;
$$;
comment on function stagebus.skip_stage(uuid, stagebus_data.plan_stages) is
    'Records a planned stage as skipped.';
