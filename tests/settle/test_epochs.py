"""Only the epoch decides whether a bridge's write counts: a bridge that woke up late is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.client import MINUTE, Claim, Client

WRITES: dict[str, Callable[[Client, Claim], Any]] = {
    "record_send": lambda client, claim: client.record_send(claim, 1, 4),
    "finish_batch": lambda client, claim: client.finish_batch(claim),
    "release_batch": lambda client, claim: client.release_batch(claim),
    "fail_batch": lambda client, claim: client.fail_batch(claim),
    "extend_lease": lambda client, claim: client.extend_lease(claim),
}


@pytest.fixture
def claim(client: Client) -> Claim:
    client.stop_clock()
    client.create_stage_tasks(client.create_job(), task_count=10)
    return client.claim()


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_after_another_claim_nothing_is_written(
    client: Client, claim: Claim, write: Callable[[Client, Claim], Any]
) -> None:
    client.advance(MINUTE * 2)
    again = client.claim()
    before = client.contents()
    assert not write(client, claim)
    assert client.contents() == before
    client.advance(timedelta(seconds=1))
    before = client.batch(again)
    assert write(client, again)
    assert client.batch(again) != before


def test_a_late_bridge_is_not_answered_for_what_its_heir_did(client: Client, claim: Claim) -> None:
    """What is told again is answered as the first time, but only to the claim that told it."""
    client.advance(MINUTE * 2)
    heir = client.claim()
    assert client.record_send(heir, 1, 4)
    assert not client.record_send(claim, 1, 4)
    assert client.fail_unsendable_task(heir, 5)
    assert not client.fail_unsendable_task(claim, 5)
    assert client.finish_batch(heir)
    assert not client.finish_batch(claim)


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_an_expired_lease_that_nobody_took_is_still_the_claims(
    client: Client, claim: Claim, write: Callable[[Client, Claim], Any]
) -> None:
    client.advance(MINUTE * 2)
    assert write(client, claim)


#: A batch that was given back may be given back again: the answer was lost.
SAME_END = ({"finish_batch"}, {"release_batch", "fail_batch"})


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("end", ["release_batch", "fail_batch", "finish_batch"])
def test_a_claim_that_was_given_back_writes_no_more(
    client: Client, claim: Claim, write: str, end: str
) -> None:
    assert WRITES[end](client, claim)
    before = client.contents()
    told_again = any({end, write} <= same for same in SAME_END)
    assert bool(WRITES[write](client, claim)) == told_again
    assert client.contents() == before


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_write_that_waits_for_a_reclaim_is_refused(
    client: Client, claim: Claim, write: Callable[[Client, Claim], Any]
) -> None:
    client.advance(MINUTE * 2)
    late = client.session()
    with client.transaction():
        again = client.claim()
        written = late.in_background(lambda: write(late, claim))
        client.wait_until_blocked(late, written)
    assert not written.result()
    assert client.batch(again).claim_epoch == again.claim_epoch == 2
    assert client.batch(again).state == "publishing"


def test_a_reclaim_passes_over_a_batch_that_is_being_written(client: Client, claim: Claim) -> None:
    client.advance(MINUTE * 2)
    other = client.session()
    with client.transaction():
        assert client.extend_lease(claim, timedelta(minutes=5))
        assert other.claim_batches(10) == []
    assert other.claim_batches(10) == []
    assert client.batch(claim).claim_epoch == 1
