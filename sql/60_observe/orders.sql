create or replace view stagebus.orders as
select
    o.order_id, o.action, o.state as status, o.job_id, o.stage, o.batch_id, o.details, o.reason,
    o.tasks, o.tasks_done, o.batches_done, o.undoes, o.ordered_by, o.ordered_at, o.ended_at,
    o.stopped_by, o.last_error
from stagebus_data.orders as o
where o.job_id < (select r.hidden_from from stagebus_data.retention as r)
    or o.job_id >= (select r.hidden_until from stagebus_data.retention as r);
comment on view stagebus.orders is
    'The audit: who ordered what, when and why, and how far a working order got.';
