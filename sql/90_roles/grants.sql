-- Who may do what, by audience. Nothing is granted to PUBLIC, on anything.
revoke all on all tables in schema stagebus_data from public;
revoke all on all functions in schema stagebus from public;
revoke all on all tables in schema stagebus from public;
revoke all on schema stagebus_data from public;
-- PostgreSQL lets everyone use a new type.
revoke all on type
    stagebus_data.attempt, stagebus_data.batch_kind, stagebus_data.batch_state,
    stagebus_data.counter, stagebus_data.ending, stagebus_data.job_state, stagebus_data.nonce,
    stagebus_data.on_failure, stagebus_data.parameters, stagebus_data.stage_state,
    stagebus_data.task_state, stagebus_data.tolerated_failures
from public;

grant usage on schema stagebus to
    stagebus_producer, stagebus_bridge, stagebus_worker, stagebus_operator, stagebus_monitor;
grant execute on function stagebus.api_version() to
    stagebus_producer, stagebus_bridge, stagebus_worker, stagebus_operator, stagebus_monitor;

-- Producers make jobs and stages, and read what became of them.
grant execute on function
    stagebus.create_job(text, jsonb, text),
    stagebus.define_job_type(text, jsonb),
    stagebus.explain_plan(text, jsonb),
    stagebus.submit_job(text, jsonb, text),
    stagebus.advance_job(uuid),
    stagebus.stage_results_by_name(uuid, text),
    stagebus.open_stage(uuid, integer, text, jsonb),
    stagebus.append_tasks(uuid, integer, jsonb[], text, text),
    stagebus.append_numbered_tasks(uuid, integer, bigint),
    stagebus.seal_stage(uuid, integer),
    stagebus.publish_stage(uuid, integer, interval),
    stagebus.publication(uuid, integer, text),
    stagebus.withdraw_stage(uuid, integer, text, text),
    stagebus.begin_stage(uuid, integer, text, jsonb, text),
    stagebus.summarise_stage(uuid, integer),
    stagebus.raise_error(text, text, text, text),
    stagebus.create_stage_tasks(uuid, integer, text, bigint, jsonb, boolean, text),
    stagebus.estimate_stage_tasks(text, bigint, jsonb, jsonb, text, integer),
    stagebus.create_stage_tasks_from_array(
        uuid, integer, text, jsonb[], jsonb, boolean, text, text, text),
    stagebus.create_stage_tasks_from_query(
        uuid, integer, text, text, jsonb, boolean, text, text, text),
    stagebus.finish_job(uuid),
    stagebus.stage_results(uuid, integer)
to stagebus_producer;

-- Bridges publish, and keep the house.
grant execute on function
    stagebus.report_bridge(uuid, text, integer, text, text, interval),
    stagebus.forget_bridge(uuid),
    stagebus.check_writes(uuid, uuid[], uuid[], integer[], integer[], integer[], boolean[]),
    stagebus.claim_batches(uuid, integer, interval, bigint),
    stagebus.batch_messages(uuid, uuid, integer, integer, integer),
    stagebus.extend_lease(uuid, uuid, integer, interval),
    stagebus.record_send(
        uuid, uuid, integer, integer, integer, integer, bigint, interval, text, text, interval),
    stagebus.finish_batch(uuid, uuid, integer),
    stagebus.release_batch(uuid, uuid, integer, interval, text, text),
    stagebus.fail_unsendable_task(uuid, uuid, integer, integer, text),
    stagebus.fail_batch(uuid, uuid, integer, text, integer),
    stagebus.maintain(integer, boolean),
    stagebus.due_jobs(integer, text[]),
    stagebus.advance_job(uuid),
    stagebus.work_order(bigint, integer),
    stagebus.fail_order_step(bigint, text),
    stagebus.dead_letter_queues(),
    stagebus.record_dead_letters(
        text, bigint[], text[], text[], text[], integer[], timestamptz[], integer[]),
    stagebus.drop_expired(integer, boolean, boolean)
to stagebus_bridge;

-- Workers start and finish.
grant execute on function
    stagebus.start_tasks(text[], integer[], text[], uuid, text),
    stagebus.start_task(text, integer, text, uuid, text),
    stagebus.heartbeat_tasks(text[], uuid),
    stagebus.heartbeat_task(text, uuid),
    stagebus.complete_tasks(text[], uuid, jsonb[]),
    stagebus.complete_task(text, uuid, jsonb),
    stagebus.fail_tasks(text[], uuid, text[], boolean),
    stagebus.fail_task(text, uuid, text, boolean)
to stagebus_worker;

-- Operators configure and steer.
grant execute on function
    stagebus.set_task_type(
        text, text, integer, interval, integer, text, interval, interval, interval, interval, text,
        text, boolean, boolean),
    stagebus.set_destination(text, text, text, integer, integer, interval, text),
    stagebus.pause_destination(text, text),
    stagebus.resume_destination(text),
    stagebus.forget_bridge(uuid),
    stagebus.set_priority(uuid, integer),
    stagebus.set_rate_limit(text, double precision),
    stagebus.set_limit(text, bigint, text),
    stagebus.maintain(integer, boolean),
    stagebus.retry_tasks(uuid, integer, text, jsonb, text, text, boolean, integer),
    stagebus.redrive(uuid, integer, text, jsonb, integer, text, boolean),
    stagebus.retry_batch(uuid, uuid, boolean, text, boolean),
    stagebus.hold_batch(uuid, uuid, text, boolean),
    stagebus.unhold_batch(uuid, uuid, text, boolean),
    stagebus.cancel_stage(uuid, integer, text, boolean),
    stagebus.publication(uuid, integer, text),
    stagebus.withdraw_stage(uuid, integer, text, text),
    stagebus.cancel_job(uuid, text, boolean),
    stagebus.set_stage(uuid, integer, text, timestamptz, text, text, boolean),
    stagebus.stop_order(bigint, text, boolean),
    stagebus.undo_order(bigint, text, boolean),
    stagebus.working_orders(),
    stagebus.work_order(bigint, integer),
    stagebus.recount_stage(uuid, integer),
    stagebus.verify_job(uuid),
    stagebus.repair_job(uuid, boolean, text),
    stagebus.reconcile(text, text[], text[], timestamptz, boolean),
    stagebus.estimate_stage_tasks(text, bigint, jsonb, jsonb, text, integer),
    stagebus.set_retention(interval, boolean),
    stagebus.stop_retention(),
    stagebus.drop_expired(integer, boolean, boolean),
    stagebus.archive_job(uuid),
    stagebus.mark_archived(uuid),
    stagebus.define_job_type(text, jsonb),
    stagebus.explain_plan(text, jsonb),
    stagebus.due_jobs(integer, text[]),
    stagebus.advance_job(uuid),
    stagebus.stage_results_by_name(uuid, text),
    stagebus.finish_job(uuid),
    stagebus.stage_results(uuid, integer)
to stagebus_operator;

-- Views call functions with their reader's rights; whoever runs a job may ask why it stands still.
grant execute on function
    stagebus.clock(),
    stagebus.depth_of_destination(text),
    stagebus.leased_batches(),
    stagebus.why_stuck(uuid)
to stagebus_producer, stagebus_operator, stagebus_monitor;

-- What threatens the system is for those who run it; doctor asks the parts as its caller.
grant execute on function
    stagebus.doctor(text),
    stagebus.findings_of_server(),
    stagebus.findings_of_settings(),
    stagebus.findings_of_work(text)
to stagebus_operator, stagebus_monitor;

-- Everyone who runs a job may look at it; a worker sees what its messages and calls tell it.
grant select on
    stagebus.jobs, stagebus.stages, stagebus.batches, stagebus.tasks, stagebus.sends,
    stagebus.job_progress, stagebus.plans, stagebus.plan_progress, stagebus.orders,
    stagebus.batch_status, stagebus.destination_status, stagebus.bridges, stagebus.dead_tasks,
    stagebus.retrying_tasks, stagebus.recent_errors, stagebus.dead_letters, stagebus.limits
to stagebus_producer, stagebus_operator, stagebus_monitor;
grant execute on function stagebus.retention_status(interval, boolean)
to stagebus_operator, stagebus_monitor;

-- What a plan names is called by a function of a role without rights. It may have no more than its
-- place in the schema, and that only while it is given to it.
grant create on schema stagebus to stagebus_nobody;
alter function stagebus.call_plan_function(text, uuid, jsonb) owner to stagebus_nobody;
revoke create on schema stagebus from stagebus_nobody;
revoke all on function stagebus.call_plan_function(text, uuid, jsonb) from public;
grant execute on function stagebus.call_plan_function(text, uuid, jsonb) to stagebus_owner;
