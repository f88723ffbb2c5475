-- Where an atomic stage is cut: each batch is what exactly one send of its destination holds, or
-- batch_size tasks; a by_stage stage is one send, or is not made. 512 bytes of a send are kept for
-- the envelope, as the bridge keeps them. A stage that is cancelled while it is filling is never
-- refused, or nothing could end it: it is cut as if by chunks, and a task that is too big is alone.
create or replace function stagebus.cut_atomic_batches(
    p_stage stagebus_data.stages,
    p_type stagebus_data.task_types,
    p_job_type text
) returns table (first_index integer, last_index integer)
language plpgsql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_by_stage boolean := p_type.boundary = 'by_stage' and p_stage.ending is null;
    v_count    integer := p_stage.task_count;
    v_frame    record;
    v_limit    record;
    v_size     integer;
    v_needed   bigint;
    v_largest  integer;
    v_bytes    integer[];
    v_starts   integer[];
    v_first    integer := 1;
    v_next     integer;
    v_big      record;
begin
    select d.max_send_bytes - 512 as bytes, d.max_send_messages as messages into v_limit
    from destinations as d
    where d.destination = p_stage.destination;
    select f.* into v_frame from stagebus.message_frame(p_stage, p_job_type) as f;
    v_size := least(v_limit.messages, case when v_by_stage then v_count else p_type.batch_size end);

    if v_by_stage then
        -- The index is four times in the message of a numbered task.
        v_needed := case when not p_stage.own_parameters
            then v_count::bigint * (v_frame.fixed + v_frame.numbered + 2)
                + 4 * stagebus.digits_up_to(v_count)
            else (
                select sum(stagebus.message_bytes(
                    v_frame.fixed, v_frame.numbered, v_frame.common, t.parameters, t.task_index, 1))
                from tasks as t
                where t.job_id = p_stage.job_id and t.stage = p_stage.stage) end;
        if v_count > v_limit.messages or v_needed > v_limit.bytes then
            perform stagebus.raise_error(
                'SB126', format('stage %s of job %s does not fit in one send',
                    p_stage.stage, p_stage.job_id),
                format('Its %s tasks need %s bytes; a send of destination %s takes %s tasks and '
                    '%s bytes.', v_count, v_needed, quote_literal(p_stage.destination),
                    v_limit.messages, v_limit.bytes),
                'Use boundary => ''chunk'' for several atomic batches, or raise max_send_bytes and '
                'max_send_messages with set_destination if the broker takes more.');
        end if;
        return query select 1, v_count;
        return;
    end if;

    -- All as large as the last one, at most.
    v_largest := stagebus.message_bytes(
        v_frame.fixed, v_frame.numbered, v_frame.common, null, v_count, 1);
    if not p_stage.own_parameters and v_largest <= v_limit.bytes then
        v_size := least(v_size, v_limit.bytes / v_largest);
        return query
        select f, least(f::bigint + v_size - 1, v_count)::integer
        from generate_series(1, v_count, v_size) as f;
        return;
    end if;

    -- In runs of tasks that hold more than one batch; where more follow, the last batch of a run
    -- may go on in the next.
    while v_first <= v_count loop
        v_bytes := array(
            select stagebus.message_bytes(
                v_frame.fixed, v_frame.numbered, v_frame.common, t.parameters, t.task_index, 1)
            from tasks as t
            where t.job_id = p_stage.job_id and t.stage = p_stage.stage
                and t.task_index >= v_first and t.task_index < v_first::bigint + 200000
            order by t.task_index);
        select v_first + b.ordinal - 1 as task_index, b.bytes into v_big
        from unnest(v_bytes) with ordinality as b (bytes, ordinal)
        where b.bytes > v_limit.bytes
        order by b.ordinal
        limit 1;
        if found and p_stage.ending is null then
            perform stagebus.raise_error(
                'SB126', format('task %s of stage %s of job %s does not fit in one send',
                    v_big.task_index, p_stage.stage, p_stage.job_id),
                format('Its message needs %s bytes; a send of destination %s takes %s.',
                    v_big.bytes, quote_literal(p_stage.destination), v_limit.bytes),
                'Put the data elsewhere and pass a reference, or raise max_send_bytes with '
                'set_destination if the broker takes more.');
        end if;
        v_starts := stagebus.pack_sends(v_bytes, v_limit.bytes, v_size);
        v_next := v_first + cardinality(v_bytes);
        if v_next <= v_count then
            v_next := v_first + v_starts[cardinality(v_starts)] - 1;
            v_starts := trim_array(v_starts, 1);
        end if;
        return query
        select v_first + s.start - 1,
            coalesce(v_first + lead(s.start) over (order by s.start) - 1, v_next) - 1
        from unnest(v_starts) as s (start);
        v_first := v_next;
    end loop;
end;
$$;
comment on function stagebus.cut_atomic_batches(
    stagebus_data.stages, stagebus_data.task_types, text) is
    'The ranges of the batches of an atomic stage that is being sealed, which cover it without '
    'gaps; each fits in one send, in any dispatch. Reads its tasks, unless they are numbered ones. '
    'Raises SB126, with the sizes, unless it is being cancelled.';
