-- What the view tasks would look for among all tasks of a stage is a small table of its own.
create or replace view stagebus.retrying_tasks as
select
    w.job_id::text || '-s' || w.stage::text || '-' || w.task_index::text as task_id,
    w.job_id, w.stage, w.task_index, w.error, w.due_at as retry_at
from stagebus_data.waiting_retries as w
where w.job_id < (select r.hidden_from from stagebus_data.retention as r)
    or w.job_id >= (select r.hidden_until from stagebus_data.retention as r);
comment on view stagebus.retrying_tasks is
    'The tasks that wait for their next attempt: when it is due, and the error of the last one. '
    'retry_tasks with status => ''retry_wait'' does not wait. Ask for a job_id.';
