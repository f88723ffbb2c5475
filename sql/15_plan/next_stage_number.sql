-- Behind the numbers that the plan gives its stages, and those that are taken.
create or replace function stagebus.next_stage_number(p_job_id uuid) returns integer
language plpgsql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_last integer;
begin
    select greatest(max(n.stage), 0) into v_last
    from (
        select s.stage from stages as s where s.job_id = p_job_id
        union all
        select ps.stage
        from jobs as j
        join plan_stages as ps on ps.job_type = j.job_type and ps.version = j.plan_version
        where j.job_id = p_job_id
    ) as n;
    if v_last >= 10000 then
        perform stagebus.raise_error(
            'SB145', format('job %s would have more than 10,000 stages', p_job_id),
            'There is a stage for each value of the parameter that group_by names.',
            'Group by something coarser; the value itself stays a parameter of each task.');
    end if;
    return v_last + 1;
end;
$$;
comment on function stagebus.next_stage_number(uuid) is
    'The number of the next stage of a job with a plan. Raises SB145.';
