-- The part of a body that all messages of a batch share, up to where the task's own part begins.
create or replace function stagebus.message_head(
    p_job_type text,
    p_stage stagebus_data.stages,
    p_batch_id uuid
) returns text
language plpgsql
immutable
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    return format(
        '{"schema_version":1,"job_id":"%s","job_type":%s,"stage":%s,"task_type":%s,'
        '"nonce":"%s","batch_id":"%s"',
        p_stage.job_id, to_json(p_job_type), p_stage.stage, to_json(p_stage.task_type),
        p_stage.nonce, p_batch_id);
end;
$$;
comment on function stagebus.message_head(text, stagebus_data.stages, uuid) is
    'The beginning of every message body of the batch: an unfinished JSON object.';
