-- The one message of a batch of kind job.
create or replace function stagebus.job_message(
    p_batch stagebus_data.batches,
    p_stage stagebus_data.stages
) returns table (task_index integer, message_id text, body bytea)
language plpgsql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    return query
    select
        1,
        m.batch_id || '.' || p_batch.dispatch || '.' || p_stage.nonce,
        convert_to(
            format(
                '{"schema_version":1,"job_id":"%s","job_type":%s,"event":"%s","stage":%s,'
                '"status":"%s","parameters":%s}',
                j.job_id, to_json(j.job_type), m.event, coalesce(m.stage::text, 'null'), m.status,
                j.parameters),
            'UTF8')
    from stagebus_data.job_messages as m
    join stagebus_data.jobs as j on j.job_id = m.job_id
    where m.job_id = p_batch.job_id and m.batch_id = p_batch.batch_id;
end;
$$;
comment on function stagebus.job_message(stagebus_data.batches, stagebus_data.stages) is
    'The message of a batch of kind job: 1, message_id and body (UTF-8 JSON, a JobQueueMessage).';
