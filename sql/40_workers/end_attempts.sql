-- Attempts that brought nothing home: each task gets its next one, or has failed when there is
-- none left.
create or replace function stagebus.end_attempts(
    p_job_ids uuid[],
    p_stages integer[],
    p_task_indexes integer[],
    p_errors text[],
    p_retry boolean,
    p_backoff boolean
) returns void
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_now     timestamptz := stagebus.clock();
    v_job_ids uuid[];
    v_stages  integer[];
    v_indexes integer[];
begin
    -- Looked up by all of their key before they are joined: a stage's key would lead to all of it.
    with found as materialized (
        select t.job_id, t.stage, t.task_index, e.error, t.attempt
        from unnest(p_job_ids, p_stages, p_task_indexes, p_errors)
            as e (job_id, stage, task_index, error)
        join tasks as t on t.job_id = e.job_id and t.stage = e.stage
            and t.task_index = e.task_index
        where t.state = 'processing'
    ),
    ended as (
        select f.job_id, f.stage, f.task_index, f.error, f.attempt,
            p_retry and f.attempt < ty.max_attempts as again,
            -- Doubled for each attempt; between half of it and the whole, so that tasks that
            -- failed together do not come back together.
            case when p_backoff then
                -- The factor is capped, and not the product, which no interval may hold.
                ty.retry_delay * least(2 ^ least(f.attempt - 1, 30),
                    extract(epoch from ty.max_retry_delay)
                        / nullif(extract(epoch from ty.retry_delay), 0))
                    * (0.5 + random() / 2)
                else interval '0' end as delay
        from found as f
        join stages as s on s.job_id = f.job_id and s.stage = f.stage
        join task_types as ty on ty.task_type = s.task_type
    ),
    gone as (
        delete from running_attempts as r
        using ended as e
        where r.job_id = e.job_id and r.stage = e.stage and r.task_index = e.task_index
    ),
    retried as (
        update tasks as t set state = 'retry_wait', attempt = t.attempt + 1
        from ended as e
        where t.job_id = e.job_id and t.stage = e.stage and t.task_index = e.task_index
            and t.state = 'processing' and e.again
    ),
    waiting as (
        insert into waiting_retries (job_id, stage, task_index, due_at, error)
        select e.job_id, e.stage, e.task_index, v_now + e.delay, e.error
        from ended as e
        where e.again
    ),
    spent as (
        update tasks as t set state = 'failed'
        from ended as e
        where t.job_id = e.job_id and t.stage = e.stage and t.task_index = e.task_index
            and t.state = 'processing' and not e.again
    ),
    listed as (
        insert into failed_tasks (job_id, stage, task_index, attempt, error, failed_at)
        select e.job_id, e.stage, e.task_index, e.attempt, e.error, v_now
        from ended as e
        where not e.again
    )
    select array_agg(e.job_id), array_agg(e.stage), array_agg(e.task_index)
    into v_job_ids, v_stages, v_indexes
    from ended as e
    where not e.again;
    perform stagebus.count_ended_tasks(v_job_ids, v_stages, v_indexes, 'failed');
end;
$$;
comment on function stagebus.end_attempts(
    uuid[], integer[], integer[], text[], boolean, boolean) is
    'Ends the attempts of tasks that are processing and that the caller has locked: retry_wait '
    'where p_retry and the task type allow it, due at once or after its backoff; else failed. '
    'Locks slots, groups, stages, jobs.';
