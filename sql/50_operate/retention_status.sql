-- What is kept, what goes, and what keeps back what should be gone.
create or replace function stagebus.retention_status(
    keep interval default null,
    archive_first boolean default null
) returns table (
    partition text,
    from_time timestamptz,
    to_time timestamptz,
    tasks bigint,
    bytes bigint,
    status text,
    job_id uuid,
    why text
)
language plpgsql
stable
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_policy stagebus_data.retention;
    v_before timestamptz;
begin
    if retention_status.keep is not null then
        perform stagebus.check_keep(retention_status.keep);
    end if;
    select r.* into strict v_policy from retention as r;
    v_before := stagebus.clock() - coalesce(retention_status.keep, v_policy.keep);
    return query
    select
        w.partition, w.from_time, w.to_time, greatest(c.reltuples, 0)::bigint,
        pg_total_relation_size(w.relation),
        case
            when g.partition is not null then 'being removed'
            when v_before is null then 'kept: no retention is set'
            when w.to_time > v_before then 'kept'
            when h.job_id is not null then 'held back'
            else 'expired' end,
        h.job_id,
        coalesce(g.last_error, h.why)
    from stagebus.task_weeks() as w
    join pg_class as c on c.oid = w.relation
    left join removals as g on g.partition = w.partition and g.ended_at is null
    -- Not in the join's condition: it would be asked about all weeks.
    left join lateral (
        select b.job_id, b.why
        from stagebus.holds_back(
            w.first_job_id, w.next_job_id, v_before,
            coalesce(retention_status.archive_first, v_policy.archive_first)) as b
        where g.partition is null and w.to_time <= v_before
    ) as h on true
    order by w.from_time;
end;
$$;
comment on function stagebus.retention_status(interval, boolean) is
    'A row per partition of tasks (their number is an estimate): kept, expired, being removed, or '
    'held back by a job, and why; by the policy, or as if the arguments were it. Raises SB116.';
