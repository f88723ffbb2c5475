-- What the database says is on a queue: the messages of queued batches that no worker has started.
create or replace function stagebus.messages_on_queue(
    p_entity text,
    p_before timestamptz
) returns table (job_id uuid, stage integer, batch_id uuid, message_id text)
language sql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
    with sent as materialized (
        select b.*, s.nonce
        from stagebus_data.stages as s
        join stagebus_data.batches as b on b.job_id = s.job_id and b.stage = s.stage
        join stagebus_data.destinations as d on d.destination = b.destination
        where s.state in ('open', 'provisional') and s.ending is null
            and b.kind = 'tasks' and b.state = 'queued' and b.queued_at < p_before
            and d.entity_kind = 'queue' and d.entity = p_entity
    )
    select m.job_id, m.stage, m.batch_id,
        format('%s-s%s-%s.%s.%s.%s', m.job_id, m.stage, m.task_index, m.attempt, m.dispatch,
            m.nonce)
    from (
        select b.job_id, b.stage, b.batch_id, t.task_index, t.attempt, b.dispatch, b.nonce
        from sent as b
        join stagebus_data.tasks as t on t.job_id = b.job_id and t.stage = b.stage
            and t.task_index between b.first_index and b.last_index
        where not b.scattered and t.state is null and not exists (
            select from stagebus_data.batch_members as bm
            where bm.job_id = t.job_id and bm.stage = t.stage and bm.task_index = t.task_index)
        union all
        select b.job_id, b.stage, b.batch_id, t.task_index, t.attempt, b.dispatch, b.nonce
        from sent as b
        join stagebus_data.batch_members as bm on bm.job_id = b.job_id
            and bm.batch_id = b.batch_id
        join stagebus_data.tasks as t on t.job_id = bm.job_id and t.stage = bm.stage
            and t.task_index = bm.task_index
        where b.scattered and t.state is null
    ) as m;
$$;
comment on function stagebus.messages_on_queue(text, timestamptz) is
    'A row for each message that should be on the queue since before that time, if no worker has '
    'just received it. Reads all tasks of the queue''s stages that have not ended.';
