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
    v_stage stagebus_data.stages := stagebus.lock_filling_stage(p_job_id, p_stage);
    v_tasks jsonb[] := p_tasks;
    v_count integer;
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
    perform stagebus.check_stage_tasks(v_stage, v_stage.task_count + v_count::bigint);
    insert into tasks (job_id, stage, task_index, parameters)
    select p_job_id, p_stage, v_stage.task_count + a.ordinal, a.task
    from unnest(v_tasks) with ordinality as a (task, ordinal);
    return stagebus.keep_counts(stagebus.account_for_tasks(v_stage, v_count));
end;
$$;
comment on function stagebus.append_tasks(uuid, integer, jsonb[], text, text) is
    'Adds a task for each object to a filling stage and returns how many the stage now has. '
    'task_key names the parameter that no two tasks of the stage share; on_conflict => ''skip'' '
    'leaves out what is there already. '
    'Locks the stage. '
    'Raises SB105, SB106, SB108, SB110, SB111, SB114, SB116, SB118, SB122, SB127.';
