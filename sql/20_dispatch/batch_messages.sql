-- A page of a batch, ready for the wire: the ids and the bodies, built here so that Python only
-- carries bytes. Read along the primary key, from the task after p_after_index. A bridge whose
-- batch was taken from it gets nothing: what it could render may be the next dispatch's.
create or replace function stagebus.batch_messages(
    p_job_id uuid,
    p_batch_id uuid,
    p_claim_epoch integer,
    p_after_index integer,
    p_limit integer
) returns table (task_index integer, message_id text, body bytea)
language plpgsql
stable
security definer
set search_path = stagebus_data, stagebus, pg_temp
set enable_seqscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_batch    stagebus_data.batches;
    v_stage    stagebus_data.stages;
    v_head     text;
    v_task_id  text;
    v_id_end   text;
    v_common   jsonb;
    v_after    integer;
    v_numbered text;
    v_moved    boolean;
begin
    select b.* into v_batch
    from batches as b
    where b.job_id = p_job_id and b.batch_id = p_batch_id and b.claim_epoch = p_claim_epoch;
    select s.* into v_stage
    from stages as s
    where s.job_id = v_batch.job_id and s.stage = v_batch.stage;
    if v_stage.ending = 'withdraw' then
        return;
    end if;
    if v_batch.kind = 'job' then
        return query select m.* from stagebus.job_message(v_batch, v_stage) as m
        where m.task_index > p_after_index;
        return;
    end if;
    -- A task that was put into a scattered batch is no longer its range batch's.
    v_moved := not v_batch.scattered and exists (
        select from batches as b
        where b.job_id = p_job_id and b.stage = v_batch.stage and b.scattered
            and b.kind = 'tasks');
    v_task_id := p_job_id || '-s' || v_batch.stage || '-';
    select stagebus.message_head(j.job_type, v_stage, p_batch_id) || ',"task_id":"' || v_task_id
    into v_head
    from jobs as j
    where j.job_id = v_batch.job_id;
    v_id_end := '.' || v_batch.dispatch || '.' || v_stage.nonce;
    v_after := greatest(p_after_index, v_batch.first_index - 1);
    v_common := nullif(v_stage.parameters, '{}');
    -- A task without parameters of its own has {"index": i}, which wins over a common "index".
    v_numbered := case when v_common - 'index' <> '{}'
        then left((v_common - 'index')::text, -1) || ', "index": ' else '{"index": ' end;

    -- Each || copies what is before it and after it: so the shortest first, and the head last.
    return query
    select
        page.task_index,
        v_task_id || (page.number || ('.' || page.attempt || v_id_end)),
        convert_to(
            v_head || (page.number || ('","task_index":' || (page.number || (
                ',"attempt":' || page.attempt || (',"parameters":' || case
                    when page.parameters is null then v_numbered || (page.number || '}}')
                    when v_common is null then page.parameters::text || '}'
                    else (v_common || page.parameters)::text || '}'
                end))))),
            'UTF8')
    from (
        (
            select t.task_index, t.task_index::text as number, t.attempt, t.parameters
            from tasks as t
            where not v_batch.scattered
                and t.job_id = p_job_id and t.stage = v_batch.stage
                and t.task_index > v_after and t.task_index <= v_batch.last_index
                and t.state is null
                and (not v_moved or not exists (
                    select from batch_members as m
                    where m.job_id = p_job_id and m.stage = t.stage
                        and m.task_index = t.task_index))
            order by t.task_index
            limit p_limit
        )
        union all
        (
            select t.task_index, t.task_index::text as number, t.attempt, t.parameters
            from batch_members as m
            join tasks as t on t.job_id = m.job_id and t.stage = m.stage
                and t.task_index = m.task_index
            where v_batch.scattered
                and m.job_id = p_job_id and m.batch_id = p_batch_id
                and m.task_index > v_after
                and t.job_id = p_job_id and t.state is null
            order by m.task_index
            limit p_limit
        )
    ) as page
    order by page.task_index;
end;
$$;
comment on function stagebus.batch_messages(uuid, uuid, integer, integer, integer) is
    'Up to p_limit messages of the batch, in index order, from the task after p_after_index on: '
    'index, message_id and body (UTF-8 JSON, a TaskQueueMessage; of a batch of kind job, the one '
    'JobQueueMessage). Tasks that were started, ended '
    'or wait for a retry are left out. Nothing once p_claim_epoch is not the batch''s any more, or '
    'its stage is withdrawn.';
