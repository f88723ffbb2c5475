-- A worker died and nobody took its attempt over: the attempt ends here. The task gets its next
-- one, or has failed when there is none left.
create or replace function stagebus.end_lost_attempts(
    p_limit integer,
    everything boolean default true
) returns integer
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_now     timestamptz := stagebus.clock();
    -- Time for a redelivered message to take the attempt over.
    v_lost    timestamptz := v_now - interval '30 seconds';
    -- While a transaction is open somewhere, each attempt that ended leaves its entry in the index
    -- to be walked over: so not each time.
    v_from    timestamptz := case when everything then '-infinity'
        else v_lost - interval '1 minute' end;
    v_task    record;
    v_job_ids uuid[] := array[]::uuid[];
    v_stages  integer[] := array[]::integer[];
    v_indexes integer[] := array[]::integer[];
    v_errors  text[] := array[]::text[];
begin
    perform stagebus.require_read_committed('end_lost_attempts');
    for v_task in
        select t.job_id, t.stage, t.task_index, t.attempt, (
            select ty.max_attempts
            from stages as s
            join task_types as ty on ty.task_type = s.task_type
            where s.job_id = t.job_id and s.stage = t.stage) as max_attempts
        from (
            select r.job_id, r.stage, r.task_index, r.lease_until
            from running_attempts as r
            where r.lease_until >= v_from and r.lease_until < v_lost
            order by r.lease_until
            -- Behind those that are passed over there may be others.
            limit 10 * p_limit
        ) as expired
        join tasks as t on t.job_id = expired.job_id and t.stage = expired.stage
            and t.task_index = expired.task_index
        where t.state = 'processing'
        order by expired.lease_until, t.job_id, t.stage, t.task_index
        for no key update of t skip locked
    loop
        exit when cardinality(v_indexes) >= p_limit;
        if v_task.attempt >= v_task.max_attempts then
            -- It will have failed, and is counted. Whoever has locked the counters, a worker in a
            -- transaction that it has left open, must not keep all others from their ends.
            perform
            from counter_slots as s
            join counter_groups as g on g.job_id = s.job_id and g.stage = s.stage
                and g.group_no = stagebus.group_of(stagebus.slot_of(v_task.task_index))
            join stages as st on st.job_id = s.job_id and st.stage = s.stage
            join jobs as j on j.job_id = s.job_id
            where s.job_id = v_task.job_id and s.stage = v_task.stage
                and s.slot_no = stagebus.slot_of(v_task.task_index)
            for no key update skip locked;
            continue when not found;
        end if;
        -- Its worker may have come back between the look and the lock.
        delete from running_attempts as r
        where r.job_id = v_task.job_id and r.stage = v_task.stage
            and r.task_index = v_task.task_index and r.lease_until < v_lost;
        continue when not found;
        v_job_ids := v_job_ids || v_task.job_id;
        v_stages := v_stages || v_task.stage;
        v_indexes := v_indexes || v_task.task_index;
        v_errors := v_errors || format('the worker of attempt %s was lost', v_task.attempt);
    end loop;
    perform stagebus.end_attempts(v_job_ids, v_stages, v_indexes, v_errors, true, false);
    return cardinality(v_indexes);
end;
$$;
comment on function stagebus.end_lost_attempts(integer, boolean) is
    'Ends up to p_limit attempts whose lease ran out over 30 seconds ago (and not everything: less '
    'than a minute before that) and returns how many. '
    'Passes over locked tasks, and over last attempts where a slot, group, stage or job is locked '
    'that would count them: it waits for nobody. Locks these. Raises SB115.';
