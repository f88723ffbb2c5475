create or replace view stagebus.stages as
select
    s.job_id, s.stage, s.task_type, s.destination, s.state as status, s.ending,
    s.repair, s.parameters, s.tolerated_failures, s.deadline, s.on_failure,
    s.task_count as tasks, s.batch_count as batches, s.body_bytes as bytes,
    s.created_at, s.sealed_at, s.ended_at, s.confirm_by
from stagebus_data.stages as s;
comment on view stagebus.stages is
    'The stages; what their tasks are at is in job_progress. ending: being cancelled, and why. '
    'repair: reopened after its job had gone past it. confirm_by: until when a provisional one has '
    'to be published, or had.';
