-- What a stage would be, of which nothing is made. Its sizes come from the functions that make one.
create or replace function stagebus.estimate_stage_tasks(
    p_task_type text,
    p_task_count bigint,
    parameters jsonb default '{}',
    sample_parameters jsonb default null,
    job_type text default '',
    stage integer default 1
) returns table (
    tasks bigint,
    bytes bigint,
    batches bigint,
    sends bigint,
    seconds double precision
)
language plpgsql
stable
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_job_type    text := coalesce(estimate_stage_tasks.job_type, '');
    v_samples     jsonb[];
    v_type        stagebus_data.task_types;
    v_destination stagebus_data.destinations;
    v_stage       stagebus_data.stages;
    v_frame       record;
    v_sample      record;
    v_head        integer;
    v_message     integer;
    v_per_digit   integer;
    v_rate        double precision;
begin
    select ty.* into v_type from task_types as ty where ty.task_type = p_task_type;
    if not found then
        perform stagebus.raise_error(
            'SB107', format('task type %s is not defined',
                coalesce(quote_literal(left(p_task_type, 200)), 'null')),
            'The type says how a stage is cut, and where it goes.',
            'Define it with set_task_type(task_type), or correct the name.');
    elsif p_task_count is null or p_task_count not between 1 and 999999999 then
        perform stagebus.raise_error(
            'SB108', format('a task count of %s is out of range',
                coalesce(p_task_count::text, 'null')),
            'A stage has 1 to 999,999,999 tasks.', 'Split the work into several stages.');
    elsif coalesce(jsonb_typeof(estimate_stage_tasks.parameters) <> 'object', true) then
        perform stagebus.raise_error(
            'SB109', 'the stage''s common parameters are not a JSON object',
            format('They are a JSON %s.',
                coalesce(jsonb_typeof(estimate_stage_tasks.parameters), 'null')),
            'Pass an object, e.g. ''{"resolution": 5}'', or leave them out.');
    end if;
    -- What may not be made is not estimated: that takes a row for each batch.
    perform stagebus.check_limit(
        'stage_tasks', session_user, p_task_count,
        format('a stage would have %s tasks', p_task_count), 'Split the work into several stages');
    if sample_parameters is not null then
        v_samples := case jsonb_typeof(sample_parameters) when 'array'
            then array(select e from jsonb_array_elements(sample_parameters) as e)
            else array[sample_parameters] end;
        if v_samples = '{}' or exists (
            select from unnest(v_samples) as e where jsonb_typeof(e) <> 'object')
        then
            perform stagebus.raise_error(
                'SB110', 'the sample is not made of JSON objects',
                'It is the parameters of a task, or an array of those of several.',
                'Pass an object, e.g. ''{"name": "x"}'', or leave it out for numbered tasks.');
        end if;
    end if;

    select d.* into strict v_destination
    from destinations as d
    where d.destination = v_type.destination;
    v_stage.job_id := '00000000-0000-0000-0000-000000000000';
    v_stage.stage := coalesce(estimate_stage_tasks.stage, 1);
    v_stage.task_type := p_task_type;
    v_stage.destination := v_type.destination;
    v_stage.parameters := estimate_stage_tasks.parameters;
    v_stage.nonce := '0000000000';
    v_stage.atomic := v_type.atomic;
    v_stage.own_parameters := false;
    v_stage.task_count := p_task_count;

    v_head := stagebus.message_head_bytes(v_job_type, v_stage);
    select f.* into v_frame from stagebus.message_frame(v_stage, v_job_type) as f;
    -- A first dispatch has one digit of the ten that the frame has room for; an attempt has one,
    -- twice.
    v_message := v_frame.fixed - 9 + 2;
    tasks := p_task_count;
    if v_samples is null then
        bytes := p_task_count * (v_head + 1 + v_frame.numbered)
            + 3 * stagebus.digits_up_to(p_task_count);
        v_message := v_message + v_frame.numbered;
        v_per_digit := 4;
        perform stagebus.check_message_size(
            v_stage.destination, format('the message of task %s', p_task_count),
            v_head + 1 + v_frame.numbered + 3 * length(p_task_count::text));
    else
        select avg(octet_length(e::text)) as own, max(octet_length(e::text)) as largest,
            ceil(avg(octet_length(coalesce(v_frame.common || e, e)::text)))::integer as merged
        into v_sample
        from unnest(v_samples) as e;
        v_head := v_head + 1 + coalesce(octet_length(v_frame.common::text), 0);
        bytes := (ceil(p_task_count * (v_head + v_sample.own))
            + 2 * stagebus.digits_up_to(p_task_count))::bigint;
        v_message := v_message + v_sample.merged;
        v_per_digit := 3;
        perform stagebus.check_message_size(
            v_stage.destination, 'the message of the largest sample',
            v_head + v_sample.largest + 2 * length(p_task_count::text));
    end if;

    if v_type.atomic and v_samples is not null then
        -- What is packed is what is made; these are of one size.
        sends := stagebus.count_sends(
            1, p_task_count, v_message + 9, v_per_digit, v_destination.max_send_bytes - 512,
            least(v_destination.max_send_messages,
                case v_type.boundary when 'chunk' then v_type.batch_size end));
        batches := sends;
    else
        -- Batches of one size whose numbers are as long go out in as many sends.
        select sum(like_it.number)::bigint, case when v_type.atomic then sum(like_it.number)::bigint
            else sum(like_it.number * stagebus.count_sends(
                like_it.first_index, like_it.first_index + like_it.size - 1, v_message,
                v_per_digit, v_destination.max_send_bytes - 512,
                v_destination.max_send_messages))::bigint end
        into batches, sends
        from (
            select min(c.first_index)::bigint as first_index,
                c.last_index - c.first_index + 1 as size, count(*) as number
            from stagebus.cut_batches(v_stage, v_type, v_job_type) as c
            group by c.last_index - c.first_index, length(c.first_index::text),
                case when length(c.first_index::text) <> length(c.last_index::text)
                    then c.first_index end
        ) as like_it;
    end if;

    -- The ledger is read along its key: of what was made in a day. From the beginning of the first
    -- send to the end of the last.
    select sum(s.messages) / greatest(0.001, extract(epoch from
        max(s.recorded_at) - min(s.recorded_at - coalesce(s.duration, interval '0'))))::float8
    into v_rate
    from sends as s
    join batches as b on b.job_id = s.job_id and b.batch_id = s.batch_id
    where s.job_id >= stagebus.first_job_id_at(stagebus.clock() - interval '1 day')
        and s.recorded_at > stagebus.clock() - interval '5 minutes'
        and s.outcome = 'accepted' and b.destination = v_type.destination;
    if v_rate > 0 then
        seconds := round(
            (p_task_count / least(v_rate, v_destination.per_second))::numeric, 1)::float8;
    end if;
    return next;
end;
$$;
comment on function stagebus.estimate_stage_tasks(
    text, bigint, jsonb, jsonb, text, integer) is
    'What create_stage_tasks would make: tasks, bytes of their bodies, batches, and sends at the '
    'destination''s limits; creates nothing. sample_parameters: those of a task, or an array of '
    'several, for tasks with parameters of their own, which have that size on average. Bodies have '
    'the job''s type and the stage''s number in them. seconds: to send all, alone, at the rate of '
    'the destination''s last five minutes (jobs of the last day) and its limit; null without. '
    'Raises SB107 to SB111, SB126, SB127.';
