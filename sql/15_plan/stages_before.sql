-- What is over when a stage begins: what it waits for, what those wait for, and so on. It may read
-- all of them, and any may run again, by a retry, after others have begun behind it.
create or replace function stagebus.stages_before(
    p_job_id uuid,
    p_waits_for text[]
) returns table (stage integer, ended_at timestamptz)
language plpgsql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    return query
    with recursive before (name) as (
        select w.name
        from unnest(p_waits_for) as w (name)
        union
        select w.name
        from before as b
        join jobs as j on j.job_id = p_job_id
        join plan_stages as ps on ps.job_type = j.job_type and ps.version = j.plan_version
            and ps.name = b.name
        cross join lateral unnest(ps.waits_for) as w (name)
    )
    select s.stage, s.ended_at
    from before as b
    join stages as s on s.job_id = p_job_id and s.name = b.name;
end;
$$;
comment on function stagebus.stages_before(uuid, text[]) is
    'The stages of a job that have these names of its plan, or for which those wait, directly or '
    'not.';
