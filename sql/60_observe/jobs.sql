create or replace view stagebus.jobs as
select
    j.job_id, j.job_type, j.state as status, j.parameters, j.created_at, j.created_by,
    j.started_at, j.ended_at, k.dedupe_key, d.stage as due_after_stage, d.due_since
from stagebus_data.jobs as j
left join stagebus_data.job_dedupe_keys as k on k.job_id = j.job_id
left join lateral (
    select due.stage, due.due_since
    from stagebus_data.due_advances as due
    where due.job_id = j.job_id
    order by due.stage desc
    limit 1
) as d on true;
comment on view stagebus.jobs is
    'The jobs. due_after_stage: this stage has ended, and the next one or finish_job is due.';
