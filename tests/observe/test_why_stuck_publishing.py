"""Why nothing of a job goes out: `why_stuck` names the cause, and its statement mends it."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from tests.client import Client
from tests.observe import troubles
from tests.observe.causes import causes, mend, the_cause
from tests.observe.troubles import later, report, small_job

pytestmark = pytest.mark.usefixtures("quiet")


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


def test_a_batch_that_was_published_again_and_again_is_not_given_back(client: Client) -> None:
    job_id = small_job(client)
    for _ in range(3):
        claim = client.claim()
        client.finish_batch(claim)
        client.order("retry_batch", job_id, claim.batch_id)
    assert client.batch(claim).claim_epoch >= 3
    assert causes(client, job_id) == ["runs"]


@pytest.mark.parametrize("then", ["retry_batch", "unhold_batch"])
def test_a_batch_that_an_operator_let_go_is_not_given_back(client: Client, then: str) -> None:
    job_id = small_job(client)
    for _ in range(3):
        claim = client.claim()
        client.fail_batch(claim, "the link broke", max_attempts=3)
        later(client, minutes=1)
    if then == "unhold_batch":
        client.order("hold_batch", job_id, claim.batch_id)
    client.order(then, job_id, claim.batch_id)
    assert causes(client, job_id) == ["runs"]


@pytest.mark.parametrize("held", [True, False])
def test_batches_whose_stage_is_being_cancelled_wait_for_no_operator(
    client: Client, held: bool
) -> None:
    job_id = small_job(client)
    claim = client.claim()
    if held:
        client.order("hold_batch", job_id, claim.batch_id)
    else:
        client.fail_batch(claim, max_attempts=1)
    client.order("cancel_stage", job_id, 1)
    assert causes(client, job_id) == ["order at work"]
