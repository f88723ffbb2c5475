-- A worker asks for each message it received: may I? The token it draws is its right to finish;
-- asking again with the same token gives the same answer, so a lost answer harms nothing.
create or replace function stagebus.start_tasks(
    p_task_ids text[],
    p_attempts integer[],
    p_nonces text[],
    p_token uuid,
    worker text default null
) returns table (
    task_id text,
    verdict text,
    parameters jsonb,
    lease_until timestamptz,
    ask_again_after interval
)
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
    perform stagebus.require_read_committed('start_tasks');
    if p_token is null
        or cardinality(p_task_ids) is distinct from cardinality(p_attempts)
        or cardinality(p_task_ids) is distinct from cardinality(p_nonces)
    then
        perform stagebus.raise_error(
            'SB116', 'the arguments of start_tasks do not fit together',
            'It takes one attempt and one nonce for each task id, and a token.',
            'Pass what the messages say, and a random UUID as the token.');
    end if;

    perform stagebus.lock_tasks(p_task_ids);

    return query
    with asked as (
        select i.ordinal, i.task_id, i.job_id, i.stage, i.task_index,
            a.attempt, a.nonce
        from stagebus.parse_task_ids(p_task_ids) as i
        join unnest(p_attempts, p_nonces) with ordinality as a (attempt, nonce, ordinal)
            on a.ordinal = i.ordinal
    ),
    judged as (
        select a.*,
            case
                when t.job_id is null or s.nonce is distinct from a.nonce
                    or a.attempt is null or a.attempt > t.attempt
                    or s.ending = 'withdraw' then 'ghost'
                when t.state = 'cancelled' then 'cancelled'
                when t.state in ('completed', 'failed') then 'done'
                when a.attempt < t.attempt or t.state = 'retry_wait' then 'stale'
                when s.ending is not null then 'cancelled'
                when s.state not in ('open', 'provisional') then 'ghost'
                when s.state = 'provisional' then 'wait'
                when t.state is null then 'run'
                when t.token = p_token then 'run'
                when r.lease_until < v_now then 'run'
                else 'taken'
            end as verdict,
            s.parameters as common,
            t.parameters as own,
            ty.timeout
        from asked as a
        left join tasks as t on t.job_id = a.job_id and t.stage = a.stage
            and t.task_index = a.task_index
        left join stages as s on s.job_id = a.job_id and s.stage = a.stage
        left join task_types as ty on ty.task_type = s.task_type
        left join running_attempts as r on r.job_id = a.job_id and r.stage = a.stage
            and r.task_index = a.task_index
    ),
    runnable as (
        select distinct j.job_id, j.stage, j.task_index, j.attempt, j.timeout
        from judged as j
        where j.verdict = 'run'
    ),
    started as (
        update tasks as t set state = 'processing', token = p_token
        from runnable as r
        where t.job_id = r.job_id and t.stage = r.stage and t.task_index = r.task_index
            and (t.state is null or t.state = 'processing')
    ),
    leased as (
        insert into running_attempts as ra (
            job_id, stage, task_index, attempt, worker, started_at, lease_until)
        select r.job_id, r.stage, r.task_index, r.attempt, start_tasks.worker, v_now,
            v_now + r.timeout
        from runnable as r
        on conflict on constraint running_attempts_pkey do update set
            worker = excluded.worker,
            started_at = excluded.started_at,
            lease_until = excluded.lease_until
    )
    select
        j.task_id,
        j.verdict,
        case when j.verdict = 'run' then
            j.common || coalesce(j.own, jsonb_build_object('index', j.task_index)) end,
        case when j.verdict = 'run' then v_now + j.timeout end,
        case when j.verdict = 'wait' then interval '1 second' end
    from judged as j
    order by j.ordinal;
end;
$$;
comment on function stagebus.start_tasks(text[], integer[], text[], uuid, text) is
    'A row per task id, in order. Verdicts: run (with the parameters and the lease), wait (ask '
    'again after the delay, keep the message''s lock), taken, done, cancelled, stale, ghost '
    '(complete the message). Locks the tasks in key order. Raises SB115, SB116.';
