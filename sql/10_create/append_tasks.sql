-- The second step: one task for each object, numbered on from what the stage has.
create or replace function stagebus.append_tasks(
    p_job_id uuid,
    p_stage integer,
    p_tasks jsonb[],
    task_key text default null,
    on_conflict text default 'error'
) returns integer
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_stage    stagebus_data.stages := stagebus.lock_filling_stage(p_job_id, p_stage);
    v_tasks    jsonb[] := p_tasks;
    v_count    integer;
    v_bad      record;
    v_job_type text := (select j.job_type from jobs as j where j.job_id = p_job_id);
    v_size     record;
    v_common   integer := coalesce(octet_length(nullif(v_stage.parameters, '{}')::text), 0);
begin
    if append_tasks.task_key is null and append_tasks.on_conflict is distinct from 'error' then
        perform stagebus.raise_error(
            'SB116', format('on_conflict => %s has no task_key beside it',
                coalesce(quote_literal(append_tasks.on_conflict), 'null')),
            'It says what happens when two tasks have the same key.',
            'Name the parameter that tells tasks apart: task_key => ''id''.');
    elsif append_tasks.task_key is not null then
        v_tasks := stagebus.take_task_keys(
            p_job_id, p_stage, v_stage.task_count, p_tasks, append_tasks.task_key,
            append_tasks.on_conflict);
    end if;
    v_count := coalesce(cardinality(v_tasks), 0);
    if v_count = 0 then
        return v_stage.task_count;
    end if;
    if v_stage.task_count::bigint + v_count > 999999999 then
        perform stagebus.raise_error(
            'SB108', format('stage %s of job %s would have %s tasks',
                p_stage, p_job_id, v_stage.task_count::bigint + v_count),
            'A stage has at most 999,999,999 tasks.', 'Split the work into several stages.');
    end if;

    select a.ordinal, a.task into v_bad
    from unnest(v_tasks) with ordinality as a (task, ordinal)
    where a.task is null or jsonb_typeof(a.task) <> 'object'
    order by a.ordinal
    limit 1;
    if found then
        perform stagebus.raise_error(
            'SB110', format('the parameters of task %s are not a JSON object',
                v_stage.task_count + v_bad.ordinal),
            format('They are a JSON %s.', coalesce(jsonb_typeof(v_bad.task), 'null')),
            'Pass one object per task, e.g. jsonb_build_object(''name'', name).');
    end if;
    perform stagebus.check_nesting(
        v_tasks, 'the parameters of task %s', number_before => v_stage.task_count);

    insert into tasks (job_id, stage, task_index, parameters)
    select p_job_id, p_stage, v_stage.task_count + a.ordinal, a.task
    from unnest(v_tasks) with ordinality as a (task, ordinal);

    select sum(m.bytes) as total, max(m.bytes) as largest, max(m.task_index) filter (
        where m.bytes = m.largest) as largest_index
    into v_size
    from (
        select s.task_index, s.bytes, max(s.bytes) over () as largest
        from (
            select
                (v_stage.task_count + a.ordinal)::integer as task_index,
                (v_common + octet_length(a.task::text)
                    + 2 * length((v_stage.task_count + a.ordinal)::text) + 1)::bigint as bytes
            from unnest(v_tasks) with ordinality as a (task, ordinal)
        ) as s
    ) as m;
    perform stagebus.check_message_size(
        v_stage.destination, format('the message of task %s', v_size.largest_index),
        v_size.largest + stagebus.message_head_bytes(v_job_type, v_stage));

    update stages as s set
        own_parameters = true,
        task_count = s.task_count + v_count,
        body_bytes = s.body_bytes + v_size.total
            + v_count::bigint * stagebus.message_head_bytes(v_job_type, v_stage)
    where s.job_id = p_job_id and s.stage = p_stage and s.state = 'filling';
    return v_stage.task_count + v_count;
end;
$$;
comment on function stagebus.append_tasks(uuid, integer, jsonb[], text, text) is
    'Adds a task for each object to a filling stage and returns how many the stage now has. '
    'task_key names the parameter that no two tasks of the stage share; on_conflict => ''skip'' '
    'leaves out what is there already. '
    'Locks the stage. '
    'Raises SB105, SB106, SB108, SB110, SB111, SB114, SB116, SB118, SB122.';
