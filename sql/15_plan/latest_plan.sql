-- The plan that new jobs of a type get.
create or replace function stagebus.latest_plan(p_job_type text) returns stagebus_data.plans
language plpgsql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_plan stagebus_data.plans;
begin
    select p.* into v_plan
    from plans as p
    where p.job_type = p_job_type
    order by p.version desc
    limit 1;
    if not found then
        perform stagebus.raise_error(
            'SB143', format('job type %s has no plan',
                coalesce(quote_literal(p_job_type), 'null')),
            format('Plans have: %s.', coalesce(
                (select string_agg(distinct p.job_type, ', ') from plans as p), 'no job types')),
            'Define it with define_job_type, or correct the name.');
    end if;
    return v_plan;
end;
$$;
comment on function stagebus.latest_plan(text) is
    'The newest version of a job type''s plan. Raises SB143.';
