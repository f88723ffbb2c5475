-- Mends what verify_job finds, from the rows of the tasks, which are the truth. Counters are only
-- changed with all slots of the job locked: whoever ends a task holds its slot until the commit, so
-- that what is read then is what they counted.
create or replace function stagebus.repair_job(
    p_job_id uuid,
    dry_run boolean default true,
    reason text default null
) returns table (stage integer, difference text, mend text, order_id bigint)
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_refused  record;
    v_stages   integer[];
    v_found    text[];
    v_mends    text[];
    v_row      record;
begin
    perform stagebus.require_read_committed('repair_job');
    select s.stage, case s.ending when 'withdraw' then 'being withdrawn' else s.state end as state
    into v_refused
    from stages as s
    where s.job_id = p_job_id and s.state in ('filling', 'provisional')
    order by s.stage
    limit 1;
    if found then
        perform stagebus.raise_error(
            'SB120', format('job %s cannot be repaired: stage %s is %s',
                p_job_id, v_refused.stage, v_refused.state),
            'Its rows are being made, promised to somebody, or deleted: they are no truth yet.',
            case v_refused.state when 'filling' then 'Seal the stage, or cancel it, first.'
                when 'provisional' then 'Wait until it is confirmed, or give it up first.'
                else 'Wait for the order that the view orders shows.' end);
    end if;

    if dry_run is distinct from false then
        select array_agg(m.stage), array_agg(format('%s tasks are %s', m.tasks, m.fault))
        into v_stages, v_found
        from (
            select f.stage, f.fault, count(*) as tasks
            from stagebus.misplaced_tasks(p_job_id) as f
            group by f.stage, f.fault
            order by f.stage, f.fault
        ) as m;
    else
        select array_agg(m.stage), array_agg(format('%s tasks are %s', m.tasks, m.fault))
        into v_stages, v_found
        from (
            select f.stage, f.fault, count(*) as tasks
            from stagebus.repair_tasks(p_job_id) as f
            group by f.stage, f.fault
            order by f.stage, f.fault
        ) as m;
        perform stagebus.lock_counters(p_job_id);
    end if;
    -- What is said of tasks above is not said again.
    select v_stages || array_agg(v.stage), v_found || array_agg(v.found) into v_stages, v_found
    from (
        select f.stage, d.found
        from stagebus.verify_job(p_job_id) as f
        cross join lateral unnest(f.differences) with ordinality as d (found, ordinal)
        where d.found !~ '^([0-9]+ tasks are in no batch$|stage: (running|waiting) )'
        order by f.stage, d.ordinal
    ) as v;
    v_mends := array(
        select case
            when d.found ~ ' in no batch$' then 'another attempt, and so a batch, at once'
            when d.found ~ ' running without a lease$'
                then 'a lease: the time that a task has from its start'
            when d.found ~ ' to be retried without a time$' then 'retried at once'
            when d.found ~ ' (leased without running|timed without being retried)$'
                then 'the row beside the task goes'
            when d.found ~ '^no task is open' then 'the stage ends'
            when d.found ~ '^tasks are open'
                then 'the stage opens again, and a job that ended with it'
            when d.found ~ '^it is ' then 'the stage is judged again'
            when d.found ~ '^all its stages' then 'the job ends, or is due to advance'
            else 'counted anew, from the rows of the tasks' end
        from unnest(v_found) with ordinality as d (found, ordinal)
        order by d.ordinal);
    if dry_run is distinct from false or cardinality(v_stages) is null then
        return query
        select d.stage, d.found, d.mend, null::bigint
        from unnest(v_stages, v_found, v_mends) as d (stage, found, mend);
        return;
    end if;

    for v_row in
        select distinct d.stage
        from unnest(v_stages) as d (stage)
        order by d.stage
    loop
        perform stagebus.repair_counters(p_job_id, v_row.stage);
    end loop;
    perform stagebus.repair_ends(p_job_id);
    for v_row in
        select d.stage, array_agg(d.found order by d.ordinal) as found,
            array_agg(d.mend order by d.ordinal) as mends,
            jsonb_agg(jsonb_build_object('difference', d.found, 'mend', d.mend) order by d.ordinal)
                as details
        from unnest(v_stages, v_found, v_mends) with ordinality as d (stage, found, mend, ordinal)
        group by d.stage
        order by d.stage
    loop
        order_id := stagebus.begin_order(
            'repair_job', p_job_id, v_row.stage, null,
            jsonb_build_object('differences', v_row.details), repair_job.reason, 0);
        perform stagebus.end_order(order_id);
        return query
        select v_row.stage, d.found, d.mend, order_id
        from unnest(v_row.found, v_row.mends) as d (found, mend);
    end loop;
end;
$$;
comment on function stagebus.repair_job(uuid, boolean, text) is
    'A row for each thing that verify_job finds and how it is mended; dry_run => false mends all '
    'of it, in one transaction, and records an order, whose details have the rows, for each '
    'stage. Tasks that no longer have a row are gone; those that there are count. While it '
    'mends, workers of the job wait. Locks tasks, slots, groups, stages, the job. '
    'Raises SB101, SB115, SB120.';
