"""For each trouble `why_stuck` names the cause, and the statement that it names mends it."""

from __future__ import annotations

from secrets import token_hex
from uuid import uuid4

import pytest

from tests.client import Client, PublishedStage
from tests.eventually import eventually
from tests.observe import troubles
from tests.observe.causes import causes, mend, the_cause, why
from tests.observe.troubles import TOKEN, later, small_job

pytestmark = pytest.mark.usefixtures("quiet")


def test_a_stage_that_nobody_sealed(client: Client) -> None:
    job_id = troubles.unsealed_stage(client)
    row = the_cause(client, job_id, "unsealed stage", "2 tasks so far")
    # A producer's right.
    client.execute(row.fix)
    assert causes(client, job_id) == ["runs"]


def test_a_provisional_stage(client: Client) -> None:
    job_id = client.provisional_stage(4, "work").job_id
    client.finish_batch(client.claim())
    row = the_cause(client, job_id, "provisional stage", "1 of 2 batches")
    mend(client, row)
    row = the_cause(client, job_id, "order at work", "withdraw_stage")
    mend(client, row)
    assert client.rows("select from stagebus.stages where job_id = %s", job_id) == []


def test_a_worker_that_died(client: Client) -> None:
    job_id = troubles.dead_worker(client)
    row = the_cause(client, job_id, "dead worker", "2 attempts", "worker-7")
    mend(client, row)
    assert "dead worker" not in causes(client, job_id)
    assert client.task_states(job_id) == {"pending_queue": 2}


def test_a_worker_that_died_while_another_left_its_transaction_open(client: Client) -> None:
    client.set_task_type("work", max_attempts=1)
    job_id = troubles.dead_worker(client)
    hung = client.session()
    hung.execute("begin")
    hung.complete_task(f"{job_id}-s1-1", TOKEN)
    client.maintain()
    pid = hung.connection.info.backend_pid
    row = the_cause(client, job_id, "dead worker", f"session {pid} has left a transaction open")
    client.execute(row.fix)
    eventually(lambda: client.maintain() and client.stage(job_id).status != "open")
    assert client.task_states(job_id) == {"failed": 2}


def test_messages_that_nobody_starts(client: Client) -> None:
    job_id = troubles.never_started(client)
    row = the_cause(client, job_id, "not started", "3 tasks are on the bus")
    mend(client, row)
    assert len(client.publish()) == 3
    assert causes(client, job_id) == ["runs"]


def test_messages_that_wait_for_less_than_a_minute_are_no_cause(client: Client) -> None:
    assert causes(client, client.published_stage(4, "work").job_id) == ["runs"]


def test_a_poison_task_that_the_whole_stage_waits_for(client: Client) -> None:
    job_id = troubles.poison_task(client)
    row = the_cause(client, job_id, "tasks fail", "1 tasks wait", "division by zero")
    mend(client, row)
    client.work_orders()
    client.maintain()
    assert causes(client, job_id) == ["runs"]
    assert [message.attempt for message in client.publish()] == [2]


def test_a_queues_name_is_no_statement(client: Client) -> None:
    client.set_destination("odd", entity="odd\ndrop schema stagebus cascade;\r\u2028--")
    client.set_task_type("work", destination="odd")
    row = the_cause(client, troubles.never_started(client), "not started")
    assert len(row.fix.splitlines()) == 1
    assert "their queue odd drop schema" in row.fix
    mend(client, row)
    assert len(client.publish()) == 3


def test_of_many_errors_one_is_read(client: Client) -> None:
    client.set_task_type("work", batch_size=100)
    published = client.published_stage(100, "work")
    client.start_all(published.messages, TOKEN)
    # Each is kept in pieces beside its row, since it cannot be compressed.
    errors = [token_hex(4000) for _ in published.messages]
    client.fail_tasks(published.task_ids, TOKEN, errors)
    with client.transaction():
        row = the_cause(client, published.job_id, "tasks fail", "100 tasks wait")
        pieces = client.value(
            "select idx_tup_fetch from pg_stat_xact_all_tables where relid = (select reltoastrelid"
            " from pg_class where oid = 'stagebus_data.waiting_retries'::regclass)"
        )
    assert any(error in row.evidence for error in errors)
    assert 0 < pieces < 50


def test_a_stage_that_workers_are_at_has_been_started(client: Client) -> None:
    client.set_task_type("work", timeout="1 hour")
    published = client.published_stage(4, "work")
    client.start(published.messages[0], TOKEN)
    later(client, minutes=2)
    assert causes(client, published.job_id) == ["runs"]


def test_a_task_that_is_tried_again_holds_up_no_stage_that_has_other_work(client: Client) -> None:
    published = client.published_stage(4, "work")
    client.start(published.messages[0], TOKEN)
    client.fail_task(published.task_ids[0], TOKEN, "out of luck")
    assert causes(client, published.job_id) == ["runs"]


def test_a_failed_stage_whose_job_waits(client: Client) -> None:
    job_id = troubles.failed_stage(client)
    row = the_cause(client, job_id, "failed stage waits", "1 failed tasks", "out of luck")
    mend(client, row)
    client.work_orders()
    client.maintain()
    client.run_stage(PublishedStage(job_id, 1, client.publish()))
    assert client.stage(job_id).status == "completed"


def test_a_failed_stage_of_a_job_that_is_being_cancelled_waits_for_nobody(client: Client) -> None:
    stages = [("a", {}), ("b", {"after": []}), ("tidy", {"final": True})]
    client.set_task_type("work", tolerated_failures="0", on_failure="wait")
    client.define_job_type(
        [{"name": name, "task_type": "work", "count": 1} | more for name, more in stages]
    )
    job_id = client.submit_job()
    client.advance_job(job_id)
    client.publish()
    client.end_stage_of(job_id, 1, failing=1)
    assert causes(client, job_id) == ["failed stage waits"]
    client.order("cancel_job", job_id)
    client.work_orders()
    client.advance_job(job_id)
    assert client.job(job_id).status == "running", "its final stage runs"
    with client.refused("SB120"):
        client.order("retry_tasks", job_id, 1)
    assert causes(client, job_id) == ["runs"]


def test_a_stage_whose_deadline_has_passed_and_whose_job_waits(client: Client) -> None:
    client.set_task_type("work", stage_timeout="1 minute", on_failure="wait")
    published = client.published_stage(2, "work")
    later(client, minutes=2)
    client.maintain()
    client.work_orders()
    row = the_cause(client, published.job_id, "failed stage waits", "deadline", "2 tasks of 2")
    mend(client, row)
    client.work_orders()
    client.maintain()
    client.run_stage(PublishedStage(published.job_id, 1, client.publish()))
    assert client.stage(published.job_id).status == "completed"


def test_a_plan_that_fails(client: Client) -> None:
    job_id = troubles.failing_plan(client)
    row = the_cause(client, job_id, "failing plan", "no such table", "stage a", "1 times")
    troubles.mend_plan(client)
    mend(client, row)
    assert causes(client, job_id) == ["runs"]
    assert client.stage(job_id).tasks == 3


def test_a_planned_job_that_nobody_advances(client: Client) -> None:
    client.define_job_type([{"name": "a", "task_type": "work", "count": 3}])
    job_id = client.submit_job()
    assert causes(client, job_id) == ["runs"]
    later(client, minutes=1)
    mend(client, the_cause(client, job_id, "nobody advances it"))
    assert causes(client, job_id) == ["runs"]


def test_a_job_that_waits_for_its_controller(client: Client) -> None:
    job_id = client.create_job()
    row = the_cause(client, job_id, "waits for its controller", "has no stage")
    client.execute(row.fix.replace("TASK TYPE", "work"))
    client.publish()
    client.end_stage_of(job_id, 1)
    mend(client, the_cause(client, job_id, "waits for its controller", "stage 1 has ended"))
    assert client.job(job_id).status == "completed"


def test_an_order_that_is_worked_off(client: Client) -> None:
    published = client.published_stage(4, "work")
    client.order("cancel_stage", published.job_id, 1)
    mend(client, the_cause(client, published.job_id, "order at work", "cancel_stage", "of 4 tasks"))
    assert client.stage(published.job_id).status == "cancelled"


def test_a_job_that_runs_says_how_far_it_is(client: Client) -> None:
    published = client.published_stage(4, "work")
    client.start_all(published.messages[:3], TOKEN)
    later(client, seconds=10)
    client.complete_tasks(published.task_ids[:2], TOKEN)
    row = the_cause(client, published.job_id, "runs", "2 of 4 tasks", "0.2/s", "1 are being worked")
    assert row.fix.startswith("--")


def test_a_job_that_has_ended_says_how(client: Client) -> None:
    published = client.published_stage(2, "work")
    client.end_stage_of(published.job_id, 1, failing=1)
    client.finish_job(published.job_id)
    row = the_cause(client, published.job_id, "ended", "completed_with_errors", "out of luck")
    mend(client, row)
    client.work_orders()
    client.maintain()
    assert len(client.publish()) == 1


def test_a_job_that_failed_by_a_deadline_says_so(client: Client) -> None:
    client.set_task_type("work", stage_timeout="1 minute")
    job_id = client.published_stage(2, "work").job_id
    later(client, minutes=2)
    client.maintain()
    client.work_orders()
    row = the_cause(client, job_id, "ended", "failed", "2 tasks were cancelled", "of stage 1")
    mend(client, row)
    client.work_orders()
    client.maintain()
    assert len(client.publish()) == 2


def test_an_unknown_job_is_refused(client: Client) -> None:
    with client.refused("SB101"):
        why(client, uuid4())


def test_all_causes_at_once_have_a_row_each(client: Client) -> None:
    job_id = small_job(client, 4)
    held, _ = client.batches(job_id)
    client.order("hold_batch", job_id, held.batch_id)
    client.execute("select stagebus.pause_destination('tasks')")
    client.execute("select stagebus.forget_bridge(%s)", client.bridge_id)
    assert causes(client, job_id) == ["paused destination", "no bridge alive", "held batch"]
