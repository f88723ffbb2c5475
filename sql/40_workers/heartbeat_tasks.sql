-- A worker that needs longer than its task type's timeout says that it is alive.
create or replace function stagebus.heartbeat_tasks(
    p_task_ids text[],
    p_token uuid
) returns table (task_id text, lease_until timestamptz)
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
set enable_seqscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_now timestamptz := stagebus.clock();
begin
    perform stagebus.require_read_committed('heartbeat_tasks');
    perform stagebus.lock_tasks(p_task_ids);
    return query
    -- Looked up by all of their key before they are joined: a stage's key would lead to all of it.
    with found as materialized (
        select distinct t.job_id, t.stage, t.task_index
        from stagebus.parse_task_ids(p_task_ids) as i
        join tasks as t on t.job_id = i.job_id and t.stage = i.stage
            and t.task_index = i.task_index
        where t.state = 'processing' and t.token = p_token
    ),
    held as (
        select f.job_id, f.stage, f.task_index, v_now + ty.timeout as lease_until
        from found as f
        join stages as s on s.job_id = f.job_id and s.stage = f.stage
        join task_types as ty on ty.task_type = s.task_type
    ),
    extended as (
        update running_attempts as r set lease_until = h.lease_until
        from held as h
        where r.job_id = h.job_id and r.stage = h.stage and r.task_index = h.task_index
    )
    select i.task_id, h.lease_until
    from stagebus.parse_task_ids(p_task_ids) as i
    left join held as h on h.job_id = i.job_id and h.stage = i.stage
        and h.task_index = i.task_index
    order by i.ordinal;
end;
$$;
comment on function stagebus.heartbeat_tasks(text[], uuid) is
    'A row per task id, in order: the new end of its lease, or null when the task is no longer '
    'the token''s, and then the worker stops working on it. Raises SB115.';
