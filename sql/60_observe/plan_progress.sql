-- A row per stage of the plan, or per group of it: what has begun and what has not.
create or replace view stagebus.plan_progress as
select
    j.job_id, j.job_type, j.state::text as job_status, ps.name, s.group_value,
    coalesce(s.stage, ps.stage) as stage, ps.task_type,
    coalesce(array_to_string(ps.waits_for, ', '), 'all others') as waits_for,
    case
        when s.skipped then 'skipped'
        when s.stage is not null then s.state
        when a.stage_name = ps.name then 'cannot be made'
        when j.ended_at is not null then 'never began'
        else 'waits' end as status,
    s.task_count::integer as tasks, s.created_at, s.ended_at
from stagebus_data.jobs as j
join stagebus_data.plan_stages as ps
    on ps.job_type = j.job_type and ps.version = j.plan_version
left join stagebus_data.stages as s on s.job_id = j.job_id and s.name = ps.name
left join stagebus_data.job_advances as a on a.job_id = j.job_id
where j.job_id < (select r.hidden_from from stagebus_data.retention as r)
    or j.job_id >= (select r.hidden_until from stagebus_data.retention as r);
comment on view stagebus.plan_progress is
    'The stages of jobs with a plan, those that have not begun included, with the number that they '
    'have or will have: waits, never began, '
    'skipped, cannot be made (the view jobs says why), or the status of the stage. Ask for a '
    'job_id.';
