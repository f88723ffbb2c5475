-- What tasks were added to a filling stage that is not sealed yet.
create or replace function stagebus.keep_counts(p_stage stagebus_data.stages) returns integer
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    update stages as s set
        own_parameters = p_stage.own_parameters,
        largest_body = p_stage.largest_body,
        task_count = p_stage.task_count,
        body_bytes = p_stage.body_bytes
    where s.job_id = p_stage.job_id and s.stage = p_stage.stage and s.state = 'filling';
    return p_stage.task_count;
end;
$$;
comment on function stagebus.keep_counts(stagebus_data.stages) is
    'Writes the counts of a filling stage, whose row the caller has locked, and returns how many '
    'tasks it has.';
