create or replace view stagebus.dead_letters as
select
    d.received_at, d.destination, d.outcome, d.reason, d.description, d.delivery_count,
    d.job_id, d.stage, d.task_index, d.attempt, d.dispatch, d.message_id, d.enqueued_at,
    d.body_bytes, d.sequence_number
from stagebus_data.dead_letters as d
-- Those that name no job are not a job's.
where d.job_id < (select r.hidden_from from stagebus_data.retention as r)
    or d.job_id >= (select r.hidden_until from stagebus_data.retention as r)
    or d.job_id is null;
comment on view stagebus.dead_letters is
    'What bridges found in dead-letter queues. outcome: the task''s attempt failed (retry_wait: it '
    'has another one; failed); or nothing changed: a worker has it (taken), it has ended (done, '
    'cancelled), another attempt or dispatch followed (stale), there is no such task (ghost), the '
    'message was a job''s (job_message), or not one of ours (not_ours), and then is still there.';
