-- How many bytes a message's body has beside its parameters, its index (twice) and its attempt.
create or replace function stagebus.message_head_bytes(
    p_job_type text,
    p_stage stagebus_data.stages
) returns integer
language plpgsql
immutable
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    return octet_length(stagebus.message_head(
            p_job_type, p_stage, '00000000-0000-0000-0000-000000000000'::uuid))
        + octet_length(
            stagebus.task_id(p_stage.job_id, p_stage.stage, 0)) - 1
        + octet_length(',"task_id":"","task_index":,"attempt":,"parameters":}');
end;
$$;
comment on function stagebus.message_head_bytes(text, stagebus_data.stages) is
    'The constant part of the size of a stage''s message bodies, in bytes.';
