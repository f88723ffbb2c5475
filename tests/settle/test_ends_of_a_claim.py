"""finish_batch, release_batch, fail_batch: the three ways in which a claim ends."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.client import MINUTE, Claim, Client

SECOND = timedelta(seconds=1)


@pytest.fixture
def claim(client: Client) -> Claim:
    """A claimed batch of ten tasks; the clock stands still."""
    client.stop_clock()
    client.create_stage_tasks(client.create_job(), task_count=10)
    return client.claim()


def test_a_finished_batch_is_queued_and_its_tasks_with_it(client: Client, claim: Claim) -> None:
    assert client.record_send(claim, 1, 10)
    now = client.advance(SECOND)
    assert client.finish_batch(claim)
    batch = client.batch(claim)
    assert (batch.state, batch.queued_at, batch.published_through) == ("queued", now, 10)
    assert (batch.claimed_by, batch.lease_until, batch.last_error) == (None, None, None)
    assert client.task_states(claim.job_id) == {"queued": 10}
    task = client.task(f"{claim.job_id}-s1-3")
    assert (task.batch_id, task.batch_queued_at) == (claim.batch_id, now)


@pytest.mark.parametrize(("timeout", "due"), [("90 seconds", SECOND * 90), ("0", None)])
def test_when_its_start_is_due_is_its_types_to_say(
    client: Client, claim: Claim, timeout: str, due: timedelta | None
) -> None:
    client.set_task_type("h3_hexagon", start_timeout=timeout)
    assert client.finish_batch(claim)
    assert client.batch(claim).start_due_at == (due and client.now() + due)


def test_marking_a_batch_queued_writes_one_row(client: Client, claim: Claim) -> None:
    with client.transaction():
        written = (
            "select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::integer"
            " from pg_stat_xact_user_tables where schemaname = 'stagebus_data'"
        )
        before = client.value(written)
        assert client.finish_batch(claim)
        assert client.value(written) - before == 1


def test_a_batch_whose_last_tasks_were_left_out_is_finished_all_the_same(
    client: Client, claim: Claim
) -> None:
    assert client.record_send(claim, 1, 7)
    assert client.finish_batch(claim)
    assert client.batch(claim).published_through == 10


def test_a_finish_told_again_is_true_and_changes_nothing(client: Client, claim: Claim) -> None:
    assert client.finish_batch(claim)
    before = client.contents()
    assert client.finish_batch(claim)
    assert client.contents() == before


def test_a_released_batch_is_claimable_at_once_and_has_spent_nothing(
    client: Client, claim: Claim
) -> None:
    assert client.record_send(claim, 1, 4)
    assert client.release_batch(claim)
    batch = client.batch(claim)
    assert (batch.state, batch.publish_attempts, batch.published_through) == ("pending_queue", 0, 4)
    assert (batch.claimed_by, batch.lease_until) == (None, None)
    again = client.claim()
    assert (again.batch_id, again.claim_epoch) == (claim.batch_id, 2)
    assert [send.outcome for send in client.sends(again)] == ["accepted"]


def test_a_released_batch_waits_for_its_delay(client: Client, claim: Claim) -> None:
    assert client.release_batch(claim, SECOND * 10)
    client.advance(SECOND * 9)
    assert client.claim_batches(1) == []
    client.advance(SECOND)
    assert len(client.claim_batches(1)) == 1


def test_a_release_may_say_why(client: Client, claim: Claim) -> None:
    assert client.value(
        "select stagebus.release_batch(%s, %s, %s, p_reason => 'draining')",
        claim.job_id,
        claim.batch_id,
        claim.claim_epoch,
    )
    assert client.batch(claim).last_error == "draining"


def test_a_failed_batch_waits_longer_each_time(client: Client, claim: Claim) -> None:
    for attempt, seconds in enumerate((1, 2, 4, 8, 16, 32, 60, 60, 60), start=1):
        assert client.fail_batch(claim, f"error {attempt}") == "pending_queue"
        batch = client.batch(claim)
        assert (batch.publish_attempts, batch.last_error) == (attempt, f"error {attempt}")
        assert batch.ready_at - client.now() == SECOND * seconds
        client.advance(SECOND * seconds - timedelta(milliseconds=1))
        assert client.claim_batches(1) == []
        client.advance(timedelta(milliseconds=1))
        claim = client.claim()


def test_attempts_count_at_the_same_send(client: Client, claim: Claim) -> None:
    for index in range(1, 10):
        assert client.fail_batch(claim, max_attempts=2) == "pending_queue"
        client.advance(MINUTE)
        claim = client.claim()
        assert client.record_send(claim, index, index)
        assert client.batch(claim).publish_attempts == 0
    assert client.record_send(claim, 10, 10, "unknown", "nobody answered")
    assert client.fail_batch(claim, max_attempts=2) == "pending_queue"
    client.advance(MINUTE)
    claim = client.claim()
    assert client.record_send(claim, 10, 10, "unknown", "nobody answered")
    assert client.fail_batch(claim, max_attempts=2) == "failed"


def test_a_batch_whose_attempts_are_spent_waits_for_an_operator(
    client: Client, claim: Claim
) -> None:
    for _ in range(2):
        assert client.fail_batch(claim, max_attempts=3) == "pending_queue"
        client.advance(MINUTE)
        claim = client.claim()
    assert client.fail_batch(claim, "the last error", max_attempts=3) == "failed"
    batch = client.batch(claim)
    assert (batch.state, batch.last_error) == ("failed", "the last error")
    assert (batch.claimed_by, batch.lease_until) == (None, None)
    client.advance(timedelta(days=1))
    assert client.claim_batches(10) == []
    assert client.task_states(claim.job_id) == {"pending_queue": 10}


def test_the_default_is_ten_attempts(client: Client, claim: Claim) -> None:
    fail = "select stagebus.fail_batch(%s, %s, %s, 'the link is down')"
    states = []
    for _ in range(10):
        states.append(client.value(fail, claim.job_id, claim.batch_id, claim.claim_epoch))
        client.advance(MINUTE)
        claim = (client.claim_batches(1) or [claim])[0]
    assert states == ["pending_queue"] * 9 + ["failed"]


def test_an_accepted_part_is_not_sent_again_after_a_failure(client: Client, claim: Claim) -> None:
    assert client.record_send(claim, 1, 4)
    assert client.record_send(claim, 5, 10, outcome="unknown", error="no answer")
    assert client.fail_batch(claim, "no answer") == "pending_queue"
    assert client.batch(claim).published_through == 4
