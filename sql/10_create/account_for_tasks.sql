-- What was just added to a filling stage is looked at once, where it lies, however it came there:
-- whether messages can be made of it, and how long they will be.
-- Along the primary key always: a plan made for any job would read all tasks of a small partition.
create or replace function stagebus.account_for_tasks(
    p_stage stagebus_data.stages,
    p_count bigint
) returns stagebus_data.stages
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
set enable_seqscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_stage    stagebus_data.stages := p_stage;
    v_before   integer := p_stage.task_count;
    v_last     bigint := v_before + p_count;
    v_found    record;
    v_bad      record;
    v_constant integer;
begin
    -- 61 pairs of brackets are 122 characters.
    if p_count < 100000 then
        select sum(t.bytes) as total, max(t.bytes) as largest,
            bool_and(t.kind is not distinct from 'object') as objects,
            bool_or(case when t.bytes > 121 then t.parameters @? 'strict $.**{61}' end) as nested
        into v_found
        from (
            select t.parameters, octet_length(t.parameters::text) as bytes,
                jsonb_typeof(t.parameters) as kind
            from tasks as t
            where t.job_id = p_stage.job_id and t.stage = p_stage.stage and t.task_index > v_before
            offset 0
        ) as t;
    else
        select * into v_found from stagebus.measure_many_tasks(p_stage);
    end if;
    if not v_found.objects then
        select t.task_index, t.parameters into v_bad
        from tasks as t
        where t.job_id = p_stage.job_id and t.stage = p_stage.stage and t.task_index > v_before
            and jsonb_typeof(t.parameters) is distinct from 'object'
        order by t.task_index
        limit 1;
        perform stagebus.raise_error(
            'SB110', format('the parameters of task %s are not a JSON object', v_bad.task_index),
            format('They are a JSON %s.', coalesce(jsonb_typeof(v_bad.parameters), 'null')),
            'Pass one object per task, e.g. jsonb_build_object(''name'', name).');
    elsif v_found.nested then
        select t.task_index, t.parameters into v_bad
        from tasks as t
        where t.job_id = p_stage.job_id and t.stage = p_stage.stage and t.task_index > v_before
            and t.parameters @? 'strict $.**{61}'
        order by t.task_index
        limit 1;
        perform stagebus.check_nesting(
            array[v_bad.parameters], 'the parameters of task %s',
            number_before => v_bad.task_index - 1);
    end if;

    v_constant := 1 + coalesce(octet_length(nullif(p_stage.parameters, '{}')::text), 0)
        + stagebus.message_head_bytes(
            (select j.job_type from jobs as j where j.job_id = p_stage.job_id), p_stage);
    -- The largest is looked for if the last number were too long for it.
    if v_constant + v_found.largest + 2 * length(v_last::text) > (
        select d.max_send_bytes - 1024
        from destinations as d
        where d.destination = p_stage.destination)
    then
        select t.task_index,
            octet_length(t.parameters::text) + 2 * length(t.task_index::text) as bytes
        into v_bad
        from tasks as t
        where t.job_id = p_stage.job_id and t.stage = p_stage.stage and t.task_index > v_before
        order by bytes desc, t.task_index
        limit 1;
        perform stagebus.check_message_size(
            p_stage.destination, format('the message of task %s', v_bad.task_index),
            v_constant + v_bad.bytes);
    end if;
    v_stage.own_parameters := true;
    v_stage.largest_body := greatest(p_stage.largest_body, v_constant + v_found.largest);
    v_stage.task_count := v_last;
    v_stage.body_bytes := p_stage.body_bytes + v_found.total + p_count * v_constant
        + 2 * (stagebus.digits_up_to(v_last) - stagebus.digits_up_to(v_before));
    return v_stage;
end;
$$;
comment on function stagebus.account_for_tasks(stagebus_data.stages, bigint) is
    'Checks the p_count tasks with parameters of their own that were added to a filling stage, '
    'whose row is locked and as it was before them, and returns it with them in its counts; '
    'keep_counts or lay_out_stage writes it. Raises SB110, SB111, SB118.';
