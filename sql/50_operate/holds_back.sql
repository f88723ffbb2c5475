-- Why a week of jobs cannot be removed: the first job found that is still of use. Each question is
-- a walk along the key of one table.
create or replace function stagebus.holds_back(
    p_first_job_id uuid,
    p_next_job_id uuid,
    p_ended_by timestamptz,
    p_archive_first boolean
) returns table (job_id uuid, why text)
language plpgsql
stable
set search_path = stagebus_data, stagebus, pg_temp
set enable_seqscan = off
set jit = off
as $$
begin
    return query
    select j.job_id, coalesce('it ended only at ' || j.ended_at::text, 'it is ' || j.state::text)
    from jobs as j
    where j.job_id >= p_first_job_id and j.job_id < p_next_job_id
        and (j.ended_at is null or j.ended_at > p_ended_by)
    order by j.job_id
    limit 1;
    if found then
        return;
    end if;
    -- One that was retried after its job had gone past it.
    return query
    select s.job_id, format('its stage %s ', s.stage)
        || coalesce('ended only at ' || s.ended_at::text, 'is ' || s.state::text)
    from stages as s
    where s.job_id >= p_first_job_id and s.job_id < p_next_job_id
        and (s.ended_at is null or s.ended_at > p_ended_by)
    order by s.job_id, s.stage
    limit 1;
    if found then
        return;
    end if;
    return query
    select o.job_id, format('order %s is worked off', o.order_id)
    from orders as o
    where o.job_id >= p_first_job_id and o.job_id < p_next_job_id and o.state = 'working'
    order by o.job_id
    limit 1;
    if found then
        return;
    end if;
    -- The message that it has ended, where the bridge cannot send.
    return query
    select b.job_id, format('its batch %s is %s', b.batch_id, b.state)
    from batches as b
    where b.job_id >= p_first_job_id and b.job_id < p_next_job_id
        and b.state in ('pending_queue', 'publishing')
    order by b.job_id
    limit 1;
    if found or not p_archive_first then
        return;
    end if;
    return query
    select j.job_id, 'it is not archived'
    from jobs as j
    left join archived_jobs as a on a.job_id = j.job_id
    where j.job_id >= p_first_job_id and j.job_id < p_next_job_id
        and a.last_end is distinct from (
            select greatest(j.ended_at, max(s.ended_at)) from stages as s where s.job_id = j.job_id)
    order by j.job_id
    limit 1;
end;
$$;
comment on function stagebus.holds_back(uuid, uuid, timestamptz, boolean) is
    'A job of the range that has not ended by then, in all its parts, or is not archived, and why; '
    'no row when there is none.';
