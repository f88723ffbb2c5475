-- Not joined: whoever asks for the last twenty reads twenty.
create or replace view stagebus.dead_tasks as
select
    f.job_id::text || '-s' || f.stage::text || '-' || f.task_index::text as task_id,
    f.job_id, f.stage, f.task_index,
    (
        select s.task_type
        from stagebus_data.stages as s
        where s.job_id = f.job_id and s.stage = f.stage
    ) as task_type,
    f.attempt as attempts, f.error, f.failed_at
from stagebus_data.failed_tasks as f
where f.job_id < (select r.hidden_from from stagebus_data.retention as r)
    or f.job_id >= (select r.hidden_until from stagebus_data.retention as r)
order by f.failed_at desc;
comment on view stagebus.dead_tasks is
    'The tasks that failed for good, the last one first, after how many attempts and with which '
    'error. retry_tasks gives them one more.';
