-- complete_tasks, for one, and in one statement where it can be: the task's end and its counter.
-- Whatever is not that – the last task of its slot, a completion that does not count – is left to
-- the general way.
create or replace function stagebus.complete_task(
    p_task_id text,
    p_token uuid,
    result jsonb default null
) returns text
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_key  record;
    v_done record;
begin
    perform stagebus.require_read_committed('complete_task');
    if complete_task.result is not null then
        perform stagebus.check_results(array[p_task_id], array[complete_task.result]);
    end if;
    select k.job_id, k.stage, k.task_index into v_key
    from stagebus.parse_task_ids(array[p_task_id]) as k;

    with completed as (
        update tasks as t set state = 'completed', result = complete_task.result
        where t.job_id = v_key.job_id and t.stage = v_key.stage
            and t.task_index = v_key.task_index
            and t.state = 'processing' and t.token = p_token
        returning t.job_id, t.stage, t.task_index
    ),
    ended as (
        delete from running_attempts as r
        using completed as c
        where r.job_id = c.job_id and r.stage = c.stage and r.task_index = c.task_index
    ),
    counted as (
        update counter_slots as s set open_tasks = s.open_tasks - 1, completed = s.completed + 1
        from completed as c
        where s.job_id = c.job_id and s.stage = c.stage
            and s.slot_no = stagebus.slot_of(c.task_index) and s.open_tasks > 1
        returning s.slot_no
    )
    select
        exists (select from completed) as completed,
        exists (select from counted) as counted
    into v_done;
    if v_done.counted then
        return 'completed';
    elsif v_done.completed then
        perform stagebus.count_ended_tasks(
            array[v_key.job_id], array[v_key.stage], array[v_key.task_index], 'completed');
        return 'completed';
    end if;
    return (
        select c.verdict
        from stagebus.complete_tasks(array[p_task_id], p_token, array[complete_task.result]) as c);
end;
$$;
comment on function stagebus.complete_task(text, uuid, jsonb) is
    'complete_tasks for one task: returns its verdict. Locks the task, its slot, and where it is '
    'the last the group, the stage, the job. Raises SB115, SB117, SB118.';
