"""For each trouble `why_stuck` names the cause, and the statement that it names mends it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.client import Client, PublishedStage
from tests.observe import troubles
from tests.observe.troubles import TOKEN, later, report, small_job


@pytest.fixture(autouse=True)
def bridge(client: Client) -> UUID:
    """The clock stands still, and one bridge is alive."""
    troubles.quiet(client)
    return client.bridge_id


def why(client: Client, job_id: UUID) -> list[Any]:
    return client.rows("select * from stagebus.why_stuck(%s)", job_id)


def causes(client: Client, job_id: UUID) -> list[str]:
    return [row.cause for row in why(client, job_id)]


def the_cause(client: Client, job_id: UUID, cause: str, *evidence: str) -> Any:
    """The one row that there is, of this cause, with these words in its evidence."""
    (row,) = why(client, job_id)
    assert row.cause == cause
    for words in evidence:
        assert words in row.evidence
    return row


def mend(client: Client, row: Any) -> None:
    """Types what it says, as an operator."""
    client.session("stagebus_operator").execute(row.fix)


def test_a_paused_destination(client: Client) -> None:
    job_id = troubles.paused_destination(client)
    row = the_cause(client, job_id, "paused destination", "1 batches wait for tasks", "queue moves")
    mend(client, row)
    assert causes(client, job_id) == ["runs"]
    assert len(client.publish()) == 2


def test_a_revoked_key(client: Client) -> None:
    job_id = small_job(client)
    client.release_refused(client.claim(), "unauthorized: the key is not valid")
    row = the_cause(client, job_id, "refused destination", "the key is not valid")
    mend(client, row)
    assert causes(client, job_id) == ["runs"]
    assert len(client.publish()) == 2


def test_a_throttled_destination(client: Client) -> None:
    job_id = small_job(client)
    claim = client.claim()
    client.execute(
        "select stagebus.release_batch(%s, %s, %s, p_destination_is => 'throttled')",
        claim.job_id, claim.batch_id, claim.claim_epoch,
    )  # fmt: skip
    row = the_cause(client, job_id, "throttled destination", "leave it alone until")
    mend(client, row)
    assert causes(client, job_id) == ["runs"]


def test_a_rate_limit_that_is_spent(client: Client) -> None:
    job_id = small_job(client, 60)
    client.execute("select stagebus.set_rate_limit('tasks', 0.5)")
    assert len(client.claim_batches(1)) == 1
    later(client, seconds=3)
    assert len(client.claim_batches(1)) == 0
    row = the_cause(client, job_id, "rate limit", "30 batches wait for tasks", "0.5 tasks a second")
    mend(client, row)
    assert causes(client, job_id) == ["runs"]
    assert len(client.claim_batches(100)) == 29


def test_a_destination_that_no_batch_of_the_job_waits_for_is_no_cause(client: Client) -> None:
    job_id = client.published_stage(2, "work").job_id
    client.execute("select stagebus.pause_destination('tasks')")
    assert causes(client, job_id) == ["runs"]


@pytest.mark.parametrize("known", [True, False])
def test_no_bridge_is_alive(client: Client, known: bool) -> None:
    job_id = small_job(client)
    if known:
        client.advance(timedelta(seconds=60))
    else:
        client.execute("select stagebus.forget_bridge(%s)", client.bridge_id)
    row = the_cause(
        client, job_id, "no bridge alive", "process 7 on host" if known else "none has been heard"
    )
    assert row.fix == "-- start one: stagebus bridge"
    report(client, uuid4())
    assert "no bridge alive" not in causes(client, job_id)


def test_a_dead_bridge_that_holds_batches(client: Client) -> None:
    job_id, dead = troubles.dead_bridge(client)
    row = the_cause(client, job_id, "dead bridge", "2 batches", str(dead), "process 7 on host")
    assert "another bridge takes them over" in row.fix
    assert len(client.publish()) == 4
    assert causes(client, job_id) == ["runs"]


def test_a_batch_that_waits_behind_others(client: Client) -> None:
    job_id = small_job(client)
    later(client, minutes=2)
    the_cause(client, job_id, "bridges are busy", "1 wait in all")
    client.publish()
    assert causes(client, job_id) != ["bridges are busy"]


def test_held_batches(client: Client) -> None:
    job_id = small_job(client, 4)
    for batch in client.batches(job_id):
        client.order("hold_batch", job_id, batch.batch_id)
    row = the_cause(client, job_id, "held batch", "2 batches with 4 tasks")
    mend(client, row)
    assert causes(client, job_id) == ["runs"]
    assert len(client.publish()) == 4


def test_batches_whose_publish_attempts_are_spent(client: Client) -> None:
    job_id = troubles.spent_publish_attempts(client)
    row = the_cause(client, job_id, "failed batch", "2 batches with 4 tasks", "the link broke")
    mend(client, row)
    assert causes(client, job_id) == ["runs"]
    assert len(client.publish()) == 4


def test_a_batch_that_is_tried_again_and_again(client: Client) -> None:
    job_id = small_job(client)
    client.fail_batch(client.claim(), "the link broke")
    the_cause(client, job_id, "sends fail", "the link broke")


def test_a_broker_that_is_away(client: Client) -> None:
    job_id = small_job(client)
    for _ in range(3):
        assert causes(client, job_id) == ["runs"]
        claim = client.claim()
        client.execute(
            "select stagebus.release_batch(%s, %s, %s, p_reason => 'no route to host')",
            claim.job_id, claim.batch_id, claim.claim_epoch,
        )  # fmt: skip
    the_cause(client, job_id, "broker away", "1 batches were claimed up to 3", "no route to host")
    client.publish()
    assert causes(client, job_id) == ["runs"]


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
