create or replace view stagebus.jobs as
select
    j.job_id, j.job_type, j.state::text as status, j.parameters::jsonb, j.created_at, j.created_by,
    j.started_at, j.ended_at, k.dedupe_key, nullif(d.stage, 0) as due_after_stage, d.due_since,
    j.plan_version, nullif(a.failures, 0) as failed_advances, a.stage_name as failing_stage, a.why,
    a.error, case when a.failures > 0 then a.next_try_at end as next_advance_at, j.priority
from stagebus_data.jobs as j
left join stagebus_data.job_dedupe_keys as k on k.job_id = j.job_id
left join stagebus_data.job_advances as a on a.job_id = j.job_id
left join lateral (
    select due.stage, due.due_since
    from stagebus_data.due_advances as due
    where due.job_id = j.job_id
    order by due.stage desc
    limit 1
) as d on true
where j.job_id < (select r.hidden_from from stagebus_data.retention as r)
    or j.job_id >= (select r.hidden_until from stagebus_data.retention as r);
comment on view stagebus.jobs is
    'The jobs. due_after_stage: this stage has ended, and the next one or finish_job is due. Of a '
    'job that its plan (plan_version) cannot advance: how often that failed, at which stage, why, '
    'with what error, and when it is tried again; advance_job tries at once.';
