-- Messages that the broker gave up come home. Each takes its attempt over as a worker would, so
-- that no worker can any more, and fails it; what somebody started, ended or published again
-- meanwhile is left alone. A message is completed on the broker only after this is committed.
create or replace function stagebus.record_dead_letters(
    p_destination text,
    p_sequence_numbers bigint[],
    p_message_ids text[],
    p_reasons text[],
    p_descriptions text[],
    p_delivery_counts integer[],
    p_enqueued_at timestamptz[],
    p_body_bytes integer[]
) returns setof text
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
set enable_seqscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_now      timestamptz := stagebus.clock();
    v_token    uuid := gen_random_uuid();
    v_ordinals integer[];
    v_task_ids text[];
    v_attempts integer[];
    v_nonces   text[];
    v_errors   text[];
    v_outcomes text[];
    v_failed   text[];
begin
    perform stagebus.require_read_committed('record_dead_letters');
    if exists (
        select
        from unnest(array[
            cardinality(p_message_ids), cardinality(p_reasons), cardinality(p_descriptions),
            cardinality(p_delivery_counts), cardinality(p_enqueued_at),
            cardinality(p_body_bytes)]) as c (number)
        where c.number is distinct from cardinality(p_sequence_numbers))
        or array_position(p_message_ids, null) is not null
    then
        perform stagebus.raise_error(
            'SB116', 'the arguments of record_dead_letters do not fit together',
            'Its arrays have an element for each message; a message id may be empty, not null.',
            'Pass what the broker says of each message.');
    end if;

    -- What is told again has been judged.
    select array_agg(m.ordinal order by m.ordinal), array_agg(m.task_id order by m.ordinal),
        array_agg(m.attempt order by m.ordinal), array_agg(m.nonce order by m.ordinal),
        array_agg(concat_ws(': ', 'dead letter', coalesce(p_reasons[m.ordinal], 'no reason given'),
            p_descriptions[m.ordinal]) order by m.ordinal)
    into v_ordinals, v_task_ids, v_attempts, v_nonces, v_errors
    from stagebus.parse_message_ids(p_message_ids) as m
    where m.kind = 'tasks'
        and coalesce(stagebus.current_dispatch(m.task_id), m.dispatch) = m.dispatch
        and not exists (
            select from dead_letters as d
            where d.destination = p_destination
                and d.sequence_number = p_sequence_numbers[m.ordinal]
                and d.message_id = p_message_ids[m.ordinal]);
    v_outcomes := array(
        select s.verdict
        from stagebus.start_tasks(v_task_ids, v_attempts, v_nonces, v_token, 'dead letter')
            with ordinality as s (task_id, verdict, parameters, lease, pause, ordinal)
        order by s.ordinal);
    select array_agg(f.verdict order by f.ordinal) into v_failed
    from stagebus.fail_tasks(v_task_ids, v_token, v_errors)
        with ordinality as f (task_id, verdict, retry_at, ordinal);

    insert into dead_letters (
        destination, sequence_number, message_id, outcome, job_id, stage, task_index, attempt,
        dispatch, nonce, reason, description, delivery_count, body_bytes, enqueued_at, received_at)
    select p_destination, p_sequence_numbers[m.ordinal], p_message_ids[m.ordinal],
        case
            when m.kind is null then 'not_ours'
            when m.kind = 'job' then 'job_message'
            when j.outcome is null then 'stale'
            when j.outcome = 'run' then j.failed
            else j.outcome
        end,
        stagebus.job_id_of(m.task_id), stagebus.stage_of(m.task_id),
        stagebus.task_index_of(m.task_id), m.attempt, m.dispatch, m.nonce,
        left(p_reasons[m.ordinal], 1024),
        case when m.kind is not null then left(p_descriptions[m.ordinal], 8192) end,
        p_delivery_counts[m.ordinal], p_body_bytes[m.ordinal], p_enqueued_at[m.ordinal], v_now
    from stagebus.parse_message_ids(p_message_ids) as m
    left join unnest(v_ordinals, v_outcomes, v_failed) as j (ordinal, outcome, failed)
        on j.ordinal = m.ordinal
    where j.outcome is distinct from 'wait'
    on conflict on constraint dead_letters_pkey do nothing;

    return query
    select coalesce(d.outcome, 'wait')
    from unnest(p_sequence_numbers, p_message_ids) with ordinality
        as m (sequence_number, message_id, ordinal)
    left join dead_letters as d on d.destination = p_destination
        and d.sequence_number = m.sequence_number and d.message_id = m.message_id
    order by m.ordinal;
end;
$$;
comment on function stagebus.record_dead_letters(
    text, bigint[], text[], text[], text[], integer[], timestamptz[], integer[]) is
    'What became of each message, in order: the attempt failed (retry_wait, failed); nothing '
    'changed (taken, done, cancelled, stale, ghost, job_message, not_ours); wait: its stage is '
    'provisional, nothing is recorded, tell it again. Told twice it is one row. Locks tasks, '
    'slots, groups, stages, each in key order; call it once per transaction. Raises SB115, SB116.';
