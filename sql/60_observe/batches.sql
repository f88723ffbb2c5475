create or replace view stagebus.batches as
select
    b.job_id, b.stage, b.batch_id, b.kind::text, b.state::text as status, b.destination,
    b.first_index, b.last_index, b.task_count as tasks, b.scattered, b.atomic, b.dispatch,
    b.published_through, b.send_count as sends, b.publish_attempts, b.ready_at, b.claimed_by,
    b.claim_epoch, b.lease_until, b.last_error, b.created_at, b.queued_at, b.start_due_at,
    b.unanswered_since
from stagebus_data.batches as b
where b.job_id < (select r.hidden_from from stagebus_data.retention as r)
    or b.job_id >= (select r.hidden_until from stagebus_data.retention as r);
comment on view stagebus.batches is
    'The batches. published_through: the broker has accepted its tasks up to this index. '
    'atomic: it goes out in one send, as a whole or not at all. '
    'unanswered_since: what was sent then may have arrived; a repeat has the same ids.';
