-- What is over when a stage begins: what it waits for, what those wait for, and so on. It may read
-- all of them, and any may run again, by a retry, after others have begun behind it.
create or replace function stagebus.stages_before(
    p_job_id uuid,
    p_waits_for text[]
) returns table (stage integer, ended_at timestamptz)
language plpgsql
stable
set search_path = stagebus_data, stagebus, pg_temp
set plan_cache_mode = force_generic_plan
as $$
declare
    v_names text[] := p_waits_for;
    v_more  text[];
begin
    -- A recursive query would take longer to begin than this takes for a plan of a few steps.
    loop
        select array_agg(w.name) into v_more
        from jobs as j
        join plan_stages as ps on ps.job_type = j.job_type and ps.version = j.plan_version
        cross join lateral unnest(ps.waits_for) as w (name)
        where j.job_id = p_job_id and ps.name = any (v_names) and w.name <> all (v_names);
        exit when v_more is null;
        v_names := v_names || v_more;
    end loop;
    return query
    select s.stage, s.ended_at
    from stages as s
    where s.job_id = p_job_id and s.name = any (v_names);
end;
$$;
comment on function stagebus.stages_before(uuid, text[]) is
    'The stages of a job that have these names of its plan, or for which those wait, directly or '
    'not.';
