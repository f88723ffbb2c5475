create or replace view stagebus.stages as
select
    s.job_id, s.stage, s.task_type, s.destination, s.state::text as status,
    s.ending::text, s.repair, s.parameters::jsonb, s.tolerated_failures::text, s.deadline,
    s.on_failure::text, s.atomic, s.task_count::integer as tasks,
    s.batch_count::integer as batches, s.body_bytes as bytes,
    s.created_at, s.sealed_at, s.ended_at, s.confirm_by, s.name, s.group_value, s.skipped
from stagebus_data.stages as s
where s.job_id < (select r.hidden_from from stagebus_data.retention as r)
    or s.job_id >= (select r.hidden_until from stagebus_data.retention as r);
comment on view stagebus.stages is
    'The stages; what their tasks are at is in job_progress. ending: being cancelled, and why. '
    'repair: reopened after its job had gone past it. atomic: each of its batches is one send. '
    'confirm_by: until when a provisional one has to be published, or had. name: its plan''s name '
    'for it.';
