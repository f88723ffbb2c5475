-- complete_tasks, for one, by statements of one row each: the task's end and its counter. Whatever
-- is not that – the last task of its slot, a completion that does not count – is left to the
-- general way.
create or replace function stagebus.complete_task(
    p_task_id text,
    p_token uuid,
    result jsonb default null
) returns text
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
set enable_seqscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_job_id uuid;
    v_stage  integer;
    v_index  integer;
begin
    perform stagebus.require_read_committed('complete_task');
    if complete_task.result is not null then
        perform stagebus.check_results(array[p_task_id], array[complete_task.result]);
    end if;
    if stagebus.is_task_id(p_task_id) then
        v_job_id := stagebus.job_id_of(p_task_id);
        v_stage := stagebus.stage_of(p_task_id);
        v_index := stagebus.task_index_of(p_task_id);
        update tasks as t set state = 'completed', result = complete_task.result
        where t.job_id = v_job_id and t.stage = v_stage and t.task_index = v_index
            and t.state = 'processing' and t.token = p_token;
        if found then
            delete from running_attempts as r
            where r.job_id = v_job_id and r.stage = v_stage and r.task_index = v_index;
            update counter_slots as s set
                open_tasks = s.open_tasks - 1,
                completed = s.completed + 1
            where s.job_id = v_job_id and s.stage = v_stage
                and s.slot_no = stagebus.slot_of(v_index) and s.open_tasks > 1;
            if not found then
                perform stagebus.count_ended_tasks(
                    array[v_job_id], array[v_stage], array[v_index], 'completed');
            end if;
            return 'completed';
        end if;
    end if;
    return (
        select c.verdict
        from stagebus.complete_tasks(array[p_task_id], p_token, array[complete_task.result]) as c);
end;
$$;
comment on function stagebus.complete_task(text, uuid, jsonb) is
    'complete_tasks for one task: returns its verdict. Locks the task, its slot, and where it is '
    'the last the group, the stage, the job. Raises SB115, SB117, SB118.';
