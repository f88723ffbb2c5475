"""record_send: what became of one send is a row in the ledger."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.client import MINUTE, Claim, Client


@pytest.fixture
def claim(client: Client) -> Claim:
    """A claimed batch of ten tasks; the clock stands still."""
    client.stop_clock()
    client.create_stage_tasks(client.create_job(), task_count=10)
    return client.claim()


def test_an_accepted_send_moves_published_through_and_renews_the_lease(
    client: Client, claim: Claim
) -> None:
    now = client.advance(timedelta(seconds=30))
    assert client.record_send(claim, 1, 4, size=1234)
    batch = client.batch(claim)
    assert (batch.state, batch.published_through, batch.send_count) == ("publishing", 4, 1)
    assert batch.lease_until == now + MINUTE
    (send,) = client.sends(claim)
    assert (send.send_no, send.first_index, send.last_index) == (1, 1, 4)
    assert (send.messages, send.bytes) == (4, 1234)
    assert (send.outcome, send.error, send.recorded_at) == ("accepted", None, now)
    assert (send.dispatch, send.claim_epoch, send.claimed_by) == (1, 1, client.bridge_id)
    assert send.duration == timedelta(milliseconds=4)


@pytest.mark.parametrize("outcome", ["rejected", "unknown"])
def test_any_other_outcome_is_recorded_and_moves_nothing(
    client: Client, claim: Claim, outcome: str
) -> None:
    assert client.record_send(claim, 1, 4)
    assert client.record_send(claim, 5, 8, outcome=outcome, error="the link is down")
    assert client.batch(claim).published_through == 4
    _, second = client.sends(claim)
    assert (second.send_no, second.outcome, second.error) == (2, outcome, "the link is down")
    assert (second.first_index, second.last_index) == (5, 8)


def test_a_send_told_again_is_one_row(client: Client, claim: Claim) -> None:
    assert client.record_send(claim, 1, 4)
    before = client.contents()
    assert client.record_send(claim, 1, 4)
    assert client.contents() == before


@pytest.mark.parametrize("outcome", ["rejected", "unknown"])
def test_one_that_was_not_accepted_told_again_is_one_row(
    client: Client, claim: Claim, outcome: str
) -> None:
    assert client.record_send(claim, 1, 4)
    assert client.record_send(claim, 5, 8, outcome, "the link is down")
    before = client.contents()
    assert client.record_send(claim, 5, 8, outcome, "the link is down")
    assert client.contents() == before
    # A refused send goes out in halves; a batch that is claimed again from the same task on.
    assert client.record_send(claim, 5, 6, outcome, "the link is down")
    client.release_batch(claim)
    assert client.record_send(client.claim(), 5, 6, outcome, "the link is down")
    assert [send.last_index for send in client.sends(claim)] == [4, 8, 6, 6]


def test_one_that_was_not_accepted_told_again_meanwhile_is_one_row(
    client: Client, claim: Claim
) -> None:
    other = client.session()
    with client.transaction():
        assert client.record_send(claim, 1, 4, "unknown", "nobody answered")
        again = other.in_background(
            lambda: other.record_send(claim, 1, 4, "unknown", "nobody answered")
        )
        client.wait_until_blocked(other, again)
    assert again.result(timeout=20)
    assert len(client.sends(claim)) == 1


def test_the_last_send_told_again_with_the_end_of_its_batch_is_one_row(
    client: Client, claim: Claim
) -> None:
    assert client.record_send(claim, 1, 10)
    assert client.finish_batch(claim)
    before = client.contents()
    assert client.record_send(claim, 1, 10)
    assert not client.record_send(claim, 1, 11)
    assert not client.record_send(claim, 1, 10, outcome="unknown", error="late")
    assert not client.record_send(replace(claim, claim_epoch=2), 1, 10)
    assert client.contents() == before


def test_sends_do_not_overlap_what_was_accepted(client: Client, claim: Claim) -> None:
    assert client.record_send(claim, 1, 4)
    before = client.contents()
    assert not client.record_send(claim, 3, 6)
    assert not client.record_send(claim, 1, 4, outcome="unknown", error="late")
    assert client.contents() == before


def test_the_batch_resumes_after_what_was_accepted(client: Client, claim: Claim) -> None:
    assert client.record_send(claim, 1, 4)
    assert client.fail_batch(claim) == "pending_queue"
    client.advance(MINUTE)
    again = client.claim()
    assert again.published_through == 4
    messages = client.batch_messages(again, again.published_through)
    assert [message.task_index for message in messages] == [5, 6, 7, 8, 9, 10]


def test_an_accepted_part_is_visible_before_the_batch_is_queued(
    client: Client, claim: Claim
) -> None:
    assert client.record_send(claim, 1, 4)
    progress = client.progress(claim.job_id)
    assert (progress.queued, progress.pending_queue) == (4, 6)


@pytest.mark.parametrize("epoch", [0, 2])
def test_another_epoch_writes_nothing(client: Client, claim: Claim, epoch: int) -> None:
    before = client.contents()
    assert not client.record_send(replace(claim, claim_epoch=epoch), 1, 4)
    assert client.contents() == before
