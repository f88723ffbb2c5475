-- A worker has done its tasks. In one transaction: the tasks' end, their results, their counters.
create or replace function stagebus.complete_tasks(
    p_task_ids text[],
    p_token uuid,
    results jsonb[] default null
) returns table (task_id text, verdict text)
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
set enable_seqscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_verdicts text[];
    v_ordinals bigint[];
    v_job_ids  uuid[];
    v_stages   integer[];
    v_indexes  integer[];
begin
    perform stagebus.require_read_committed('complete_tasks');
    if results is not null
        and cardinality(results) is distinct from cardinality(p_task_ids)
    then
        perform stagebus.raise_error(
            'SB116', 'the arguments of complete_tasks do not fit together',
            'It takes one result for each task id, or none at all.',
            'Pass null for a task without a result.');
    end if;
    perform stagebus.check_results(p_task_ids, results);

    -- What the tasks are once they are locked, in key order, decides the verdicts.
    with locked as materialized (
        select i.ordinal, t.job_id, t.stage, t.task_index, t.state, t.token
        from stagebus.parse_task_ids(p_task_ids) as i
        join tasks as t on t.job_id = i.job_id and t.stage = i.stage
            and t.task_index = i.task_index
        order by t.job_id, t.stage, t.task_index
        for no key update of t
    ),
    judged as (
        select a.ordinal, l.job_id, l.stage, l.task_index,
            case
                when l.job_id is null then 'ghost'
                when l.state in ('processing', 'completed') and l.token = p_token then 'completed'
                when l.state in ('completed', 'failed') then 'done'
                when l.state = 'cancelled' then 'cancelled'
                when l.state = 'processing' then 'taken'
                else 'stale'
            end as verdict,
            l.state = 'processing' and l.token = p_token as ends
        from unnest(p_task_ids) with ordinality as a (task_id, ordinal)
        left join locked as l on l.ordinal = a.ordinal
    )
    select
        array_agg(j.verdict order by j.ordinal),
        array_agg(j.job_id order by j.ordinal) filter (where j.ends),
        array_agg(j.stage order by j.ordinal) filter (where j.ends),
        array_agg(j.task_index order by j.ordinal) filter (where j.ends),
        array_agg(j.ordinal order by j.ordinal) filter (where j.ends)
    into v_verdicts, v_job_ids, v_stages, v_indexes, v_ordinals
    from judged as j;

    with done as (
        select distinct on (d.job_id, d.stage, d.task_index)
            d.job_id, d.stage, d.task_index, results[d.ordinal] as result
        from unnest(v_job_ids, v_stages, v_indexes, v_ordinals)
            as d (job_id, stage, task_index, ordinal)
        order by d.job_id, d.stage, d.task_index, d.ordinal
    ),
    completed as (
        update tasks as t set state = 'completed', result = d.result
        from done as d
        where t.job_id = d.job_id and t.stage = d.stage and t.task_index = d.task_index
            and t.state = 'processing' and t.token = p_token
        returning t.job_id, t.stage, t.task_index
    ),
    ended as (
        delete from running_attempts as r
        using completed as c
        where r.job_id = c.job_id and r.stage = c.stage and r.task_index = c.task_index
    )
    select array_agg(c.job_id), array_agg(c.stage), array_agg(c.task_index)
    into v_job_ids, v_stages, v_indexes
    from completed as c;
    perform stagebus.count_ended_tasks(v_job_ids, v_stages, v_indexes, 'completed');

    return query
    select a.task_id, v_verdicts[a.ordinal]
    from unnest(p_task_ids) with ordinality as a (task_id, ordinal);
end;
$$;
comment on function stagebus.complete_tasks(text[], uuid, jsonb[]) is
    'A row per task id, in order. Verdicts: completed (by this token, now or before), taken '
    '(another worker has it), done, cancelled, stale (the attempt is over), ghost. Only '
    'completed counts; nothing else changes anything. Locks tasks, slots, groups, stages, each '
    'in key order; call it once per transaction. One result that is refused refuses the call. '
    'Raises SB115 to SB118.';
