-- Which of the tasks are new, decided before they are numbered, so that indexes have no gaps. The
-- caller has locked the stage: nobody else adds keys to it.
create or replace function stagebus.take_task_keys(
    p_job_id uuid,
    p_stage integer,
    p_task_count integer,
    p_tasks jsonb[],
    p_key text,
    p_on_conflict text
) returns jsonb[]
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_bad   record;
    v_tasks jsonb[];
begin
    if coalesce(p_on_conflict not in ('error', 'skip'), true) then
        perform stagebus.raise_error(
            'SB114', format('on_conflict => %s is not known',
                coalesce(quote_literal(p_on_conflict), 'null')),
            'It says what happens to a task whose key the stage has already.',
            'Use ''error'' (the default) or ''skip''.');
    end if;
    select a.ordinal into v_bad
    from unnest(p_tasks) with ordinality as a (task, ordinal)
    where coalesce(jsonb_typeof(a.task -> p_key) not in ('string', 'number'), true)
        or length(a.task ->> p_key) not between 1 and 512
    order by a.ordinal
    limit 1;
    if found then
        perform stagebus.raise_error(
            'SB122', format('object %s of this call has no usable key %s', v_bad.ordinal,
                quote_literal(p_key)),
            'The parameter that task_key names is a string or a number of 1 to 512 characters, '
            'in every object.',
            'Give each object this parameter, or leave task_key out.');
    end if;
    with given as (
        select a.ordinal, a.task, a.task ->> p_key as task_key,
            row_number() over (partition by a.task ->> p_key order by a.ordinal) as nth
        from unnest(p_tasks) with ordinality as a (task, ordinal)
    ),
    fresh as (
        select g.task, g.task_key, row_number() over (order by g.ordinal) as nth
        from given as g
        left join task_keys as k on k.job_id = p_job_id and k.stage = p_stage
            and k.task_key = g.task_key
        where g.nth = 1 and k.task_key is null
    ),
    taken as (
        insert into task_keys (job_id, stage, task_key, task_index)
        select p_job_id, p_stage, f.task_key, p_task_count + f.nth
        from fresh as f
    )
    select coalesce(array_agg(f.task order by f.nth), array[]::jsonb[]) into v_tasks
    from fresh as f;
    if p_on_conflict = 'error' and cardinality(v_tasks) < cardinality(p_tasks) then
        select g.task ->> p_key as task_key into v_bad
        from unnest(p_tasks) with ordinality as g (task, ordinal)
        left join task_keys as k on k.job_id = p_job_id and k.stage = p_stage
            and k.task_key = g.task ->> p_key
        group by g.task ->> p_key, k.task_index
        having count(*) > 1 or k.task_index <= p_task_count
        order by min(g.ordinal)
        limit 1;
        perform stagebus.raise_error(
            'SB122', format('the key %s is there twice', quote_literal(left(v_bad.task_key, 100))),
            format('No two tasks of stage %s of job %s share the parameter %s.', p_stage, p_job_id,
                quote_literal(p_key)),
            'Correct the tasks, or leave repeats out with on_conflict => ''skip''.');
    end if;
    return v_tasks;
end;
$$;
comment on function stagebus.take_task_keys(uuid, integer, integer, jsonb[], text, text) is
    'Those of the tasks whose key the stage does not have, the first of each; records their keys. '
    'Raises SB114, SB122.';
