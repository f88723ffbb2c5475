-- How a stage ended whose last task has: its own tolerance decides whether failures are errors in
-- a completed stage or the failure of the stage.
create or replace function stagebus.stage_end_state(p_stage stagebus_data.stages) returns text
language plpgsql
immutable
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    return case
        when p_stage.ending = 'deadline' and p_stage.completed + p_stage.failed < p_stage.task_count
            then 'failed'
        when p_stage.cancelled > 0 or p_stage.ending = 'cancel' and p_stage.task_count = 0
            then 'cancelled'
        when p_stage.completed = p_stage.task_count then 'completed'
        when p_stage.failed > case
            when p_stage.tolerated_failures like '%\%'
                then p_stage.task_count * rtrim(p_stage.tolerated_failures, '%')::numeric / 100
            else p_stage.tolerated_failures::numeric end
            then 'failed'
        else 'completed_with_errors'
    end;
end;
$$;
comment on function stagebus.stage_end_state(stagebus_data.stages) is
    'completed, completed_with_errors, failed (more failures than it tolerates, or its deadline '
    'passed) or cancelled, from the counts of a stage without open tasks.';
