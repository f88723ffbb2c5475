-- A worker could not do its tasks and says why; the task type decides whether they are tried again.
create or replace function stagebus.fail_tasks(
    p_task_ids text[],
    p_token uuid,
    p_errors text[],
    retry boolean default true
) returns table (task_id text, verdict text, retry_at timestamptz)
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
set enable_seqscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_job_ids uuid[];
    v_stages  integer[];
    v_indexes integer[];
    v_errors  text[];
begin
    perform stagebus.require_read_committed('fail_tasks');
    if cardinality(p_task_ids) is distinct from cardinality(p_errors)
        or array_position(p_errors, null) is not null
    then
        perform stagebus.raise_error(
            'SB116', 'the arguments of fail_tasks do not fit together',
            'It takes one error for each task id, and none of them null.',
            'Say in a few words why each task failed.');
    end if;

    perform stagebus.lock_tasks(p_task_ids);

    select array_agg(f.job_id), array_agg(f.stage), array_agg(f.task_index), array_agg(f.error)
    into v_job_ids, v_stages, v_indexes, v_errors
    from (
        select distinct on (i.job_id, i.stage, i.task_index)
            i.job_id, i.stage, i.task_index, left(p_errors[i.ordinal], 8192) as error
        from stagebus.parse_task_ids(p_task_ids) as i
        join tasks as t on t.job_id = i.job_id and t.stage = i.stage
            and t.task_index = i.task_index
        where t.state = 'processing' and t.token = p_token
        order by i.job_id, i.stage, i.task_index, i.ordinal
    ) as f;
    perform stagebus.end_attempts(
        v_job_ids, v_stages, v_indexes, v_errors, coalesce(fail_tasks.retry, true), true);

    return query
    select i.task_id,
        case
            when t.job_id is null then 'ghost'
            when t.state = 'failed' and t.token = p_token then 'failed'
            when t.state in ('completed', 'failed') then 'done'
            when t.state = 'cancelled' then 'cancelled'
            when t.state = 'processing' then 'taken'
            when t.state = 'retry_wait' and t.token = p_token then 'retry_wait'
            else 'stale'
        end,
        case when t.state = 'retry_wait' and t.token = p_token then w.due_at end
    from stagebus.parse_task_ids(p_task_ids) as i
    left join tasks as t on t.job_id = i.job_id and t.stage = i.stage
        and t.task_index = i.task_index
    left join waiting_retries as w on w.job_id = i.job_id and w.stage = i.stage
        and w.task_index = i.task_index
    order by i.ordinal;
end;
$$;
comment on function stagebus.fail_tasks(text[], uuid, text[], boolean) is
    'A row per task id, in order. Verdicts: retry_wait (tried again at retry_at), failed (its '
    'attempts are spent, or retry is false), and what changes nothing: taken, done, cancelled, '
    'stale, ghost. An error keeps its first 8,192 characters. Locks tasks, slots, groups, stages, '
    'each in key order; call it once per transaction. Raises SB115, SB116.';
