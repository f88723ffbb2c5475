-- What the sizes of a stage's messages are made of, beside each task's own part. It is an upper
-- bound of what the bridge counts: a number of dispatches has room for its ten digits, since a
-- batch that fitted once fits in each dispatch. Around body, ids and task type the SDK's encoding
-- takes 54 bytes, or 63 when a long task type makes the properties long.
create or replace function stagebus.message_frame(
    p_stage stagebus_data.stages,
    p_job_type text default null
) returns table (fixed integer, numbered integer, common jsonb)
language plpgsql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_job_type text := coalesce(
        p_job_type, (select j.job_type from jobs as j where j.job_id = p_stage.job_id));
begin
    return query
    select
        stagebus.message_head_bytes(v_job_type, p_stage)
            + octet_length(stagebus.task_id(p_stage.job_id, p_stage.stage, 0)) - 1
            + octet_length('..') + octet_length('.2147483647.') - 1 + length(p_stage.nonce)
            + octet_length(p_stage.task_type)
            + case when octet_length(p_stage.task_type) > 128 then 63 else 54 end,
        stagebus.numbered_bytes(p_stage.parameters),
        nullif(p_stage.parameters, '{}');
end;
$$;
comment on function stagebus.message_frame(stagebus_data.stages, text) is
    'For message_bytes. fixed: bytes of a message beside its parameters, index and attempt; '
    'numbered: bytes of the parameters of a task without any of its own, beside its index; common: '
    'the stage''s common parameters, or null. p_job_type: of a job that is not there yet.';
