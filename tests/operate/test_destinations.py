"""Destinations that are paused, by an operator or by a bridge, and throttled ones."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.client import Claim, Client

SECOND = timedelta(seconds=1)


@pytest.fixture(autouse=True)
def two_batches(client: Client) -> None:
    client.stop_clock()
    client.set_task_type("work", batch_size=1)
    client.create_stage_tasks(client.create_job(), 1, "work", 2)


def release(client: Client, claim: Claim, destination_is: str | None) -> Any:
    return client.value(
        "select stagebus.release_batch(%s, %s, %s, '0', 'the broker says no', %s)",
        claim.job_id, claim.batch_id, claim.claim_epoch, destination_is,
    )  # fmt: skip


def test_what_an_operator_pauses_waits_for_an_operator(client: Client) -> None:
    client.execute("select stagebus.pause_destination('tasks', 'the subscription is moved')")
    assert client.destination().pause_reason == "the subscription is moved, by postgres"
    client.advance(timedelta(days=1))
    assert client.claim_batches(10) == []
    client.execute("select stagebus.resume_destination('tasks')")
    assert len(client.claim_batches(10)) == 2
    assert client.destination().status == "active"


def test_what_a_bridge_pauses_is_tried_with_one_batch_now_and_then(client: Client) -> None:
    assert release(client, client.claim(), "refused")
    paused = client.destination()
    assert (paused.status, paused.pause_reason) == ("paused", "the broker says no")
    assert client.claim_batches(10) == []
    tries = []
    for second in range(1, 41):
        client.advance(SECOND)
        if claims := client.claim_batches(10):
            (tried,) = claims
            assert client.claim_batches(10) == [], "no other bridge tries at the same time"
            assert release(client, tried, "refused")
            tries.append(second)
    assert tries == [1, 2, 3, 5, 8, 12, 18, 27, 37]
    client.advance(SECOND * 10)
    (tried,) = client.claim_batches(10)
    client.record_send(tried, tried.last_index, tried.last_index)
    assert client.destination().status == "active"
    assert len(client.claim_batches(10)) == 1


def test_a_destination_that_is_only_throttled_when_it_is_tried_is_paused_no_more(
    client: Client,
) -> None:
    assert release(client, client.claim(), "refused")
    client.advance(SECOND)
    assert release(client, client.claim(), "throttled")
    assert client.destination().status == "active"
    assert client.claim_batches(10) == []
    client.advance(SECOND * 2)
    assert len(client.claim_batches(10)) == 2


def test_a_bridge_that_is_throttled_does_not_end_the_pause_of_an_operator(client: Client) -> None:
    claim = client.claim()
    client.execute("select stagebus.pause_destination('tasks')")
    assert release(client, claim, "throttled")
    assert client.destination().pause_reason == "paused, by postgres"


def test_a_pause_by_a_bridge_counts_from_the_first_refusal(client: Client) -> None:
    assert release(client, client.claim(), "refused")
    since = client.destination().paused_at
    assert since == client.now()
    client.advance(SECOND * 10)
    assert release(client, client.claim(), "refused")
    assert client.destination().paused_at == since


def test_a_batch_whose_bridge_died_may_be_the_one_that_is_tried(client: Client) -> None:
    first, second = client.claim_batches(2)
    client.record_send(first, first.last_index, first.last_index)
    client.finish_batch(first)
    assert release(client, second, "refused")
    client.advance(SECOND * 10)
    client.claim()
    client.advance(timedelta(minutes=2))
    (tried,) = client.claim_batches(10)
    assert tried.batch_id == second.batch_id
    assert client.column("select outcome from stagebus.sends order by recorded_at")[-1] == "unknown"


def test_two_bridges_that_look_at_once_try_one_batch(client: Client) -> None:
    assert release(client, client.claim(), "refused")
    client.advance(SECOND * 10)
    other = client.session()
    with client.transaction():
        assert len(client.claim_batches(10)) == 1
        second = other.in_background(lambda: other.claim_batches(10))
        assert second.result(timeout=10) == []


def test_a_pause_by_a_bridge_becomes_an_operators(client: Client) -> None:
    assert release(client, client.claim(), "refused")
    client.execute("select stagebus.pause_destination('tasks')")
    client.advance(timedelta(days=1))
    assert client.claim_batches(10) == []


def test_a_bridge_does_not_end_the_pause_of_an_operator(client: Client) -> None:
    first, second = client.claim_batches(2)
    client.execute("select stagebus.pause_destination('tasks')")
    assert release(client, first, "refused")
    client.record_send(second, second.last_index, second.last_index)
    assert client.destination().pause_reason == "paused, by postgres"
    assert client.destination().probe_at is None


def test_throttled_means_nobody_for_two_seconds(client: Client) -> None:
    assert release(client, client.claim(), "throttled")
    assert client.claim_batches(10) == []
    client.advance(SECOND * 2)
    assert len(client.claim_batches(10)) == 2
    assert set(client.column("select publish_attempts from stagebus.batches")) == {0}


@pytest.mark.parametrize("function", ["pause_destination", "resume_destination"])
def test_a_destination_that_does_not_exist_is_named(client: Client, function: str) -> None:
    with client.refused("SB125"):
        client.execute(f"select stagebus.{function}('a-typo')")


def test_a_refused_destination_that_somebody_has_locked_keeps_no_other_waiting(
    client: Client,
) -> None:
    assert release(client, client.claim(), "refused")
    client.set_destination("other")
    client.set_task_type("other", batch_size=1, destination="other")
    client.create_stage_tasks(client.create_job(), 1, "other", 1)
    client.advance(SECOND)
    bridge = client.session()
    bridge.execute("set statement_timeout = '5 s'")
    with client.transaction():
        client.execute("select stagebus.pause_destination('tasks')")
        (claim,) = bridge.claim_batches(10)
        assert claim.task_type == "other"
