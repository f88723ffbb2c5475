"""What a bridge asks each server first: is there still what I was told is committed?"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest

from tests.client import MINUTE, Claim, Client, Write

DAY = timedelta(days=1)
DESTINATIONS = ("jobs", "tasks")


@pytest.fixture
def claim(client: Client) -> Claim:
    """A batch of ten tasks, claimed."""
    client.create_stage_tasks(client.create_job(), 1, "h3_hexagon", 10)
    return client.claim()


def paused(client: Client) -> set[str]:
    return {name for name in DESTINATIONS if client.destination(name).status == "paused"}


def set_back(client: Client, claim: Claim, **columns: object) -> None:
    """The batch as an earlier moment had it."""
    assignments = ", ".join(f"{name} = %s" for name in columns)
    client.execute(
        f"update stagebus_data.batches set {assignments} where batch_id = %s",
        *columns.values(),
        claim.batch_id,
    )


def test_it_says_which_server_this_is_and_whether_it_syncs(client: Client) -> None:
    found = client.check_writes()
    assert found.server == client.value("select pg_postmaster_start_time()")
    assert found.fsync == (client.value("show fsync") == "on")
    assert found.lost is None
    assert paused(client) == set()


#: What may happen to a batch after a bridge's last write, without anything being lost.
GOES_ON: dict[str, Callable[[Client, Claim], object]] = {
    "nothing": lambda c, claim: None,
    "a send that was not heard of": lambda c, claim: c.record_send(claim, 6, 8),
    "finished unheard": lambda c, claim: c.finish_batch(claim),
    "released unheard": lambda c, claim: c.release_batch(claim),
    "failed unheard": lambda c, claim: c.fail_batch(claim),
    "held": lambda c, claim: c.order("hold_batch", claim.job_id, claim.batch_id),
    "cancelled": lambda c, claim: (c.order("cancel_job", claim.job_id), c.work_orders()),
    "published again": lambda c, claim: (
        c.finish_batch(claim),
        c.order("retry_batch", claim.job_id, claim.batch_id),
    ),
    "taken over": lambda c, claim: (c.advance(2 * MINUTE), c.claim_batches(bridge_id=uuid4())),
    "published again by another": lambda c, claim: (
        c.finish_batch(claim),
        c.order("retry_batch", claim.job_id, claim.batch_id),
        c.claim_batches(bridge_id=uuid4()),
    ),
}


@pytest.mark.parametrize("happens", GOES_ON.values(), ids=GOES_ON)
def test_what_others_do_is_no_loss(
    client: Client, claim: Claim, happens: Callable[[Client, Claim], object]
) -> None:
    client.record_send(claim, 1, 3)
    client.record_send(claim, 4, 8, outcome="rejected", error="too much")
    client.record_send(claim, 4, 5)
    happens(client, claim)
    assert client.check_writes(Write(claim, 5, sends=3)).lost is None
    assert paused(client) == set()


@pytest.mark.parametrize("settle", ["finish_batch", "release_batch", "fail_batch"])
def test_a_batch_that_was_given_back_is_no_loss_whatever_comes_then(
    client: Client, claim: Claim, settle: str
) -> None:
    client.record_send(claim, 1, 10)
    getattr(client, settle)(claim)
    settled = Write(claim, 10, sends=1, settled=True)
    assert client.check_writes(settled).lost is None
    client.advance(MINUTE)
    client.claim_batches(bridge_id=uuid4())
    assert client.check_writes(settled).lost is None


def gone(client: Client, claim: Claim) -> Write:
    client.execute("delete from stagebus_data.jobs where job_id = %s", claim.job_id)
    return Write(claim)


def claim_undone(client: Client, claim: Claim) -> Write:
    set_back(client, claim, state="pending_queue", claim_epoch=0, claimed_by=None, lease_until=None)
    return Write(claim)


def send_undone(client: Client, claim: Claim) -> Write:
    client.record_send(claim, 1, 3)
    return Write(claim, 5, sends=2)


def refusal_undone(client: Client, claim: Claim) -> Write:
    """A send that moved nothing on is only in the ledger."""
    client.record_send(claim, 1, 3)
    return Write(claim, 3, sends=2)


def failed_task_undone(client: Client, claim: Claim) -> Write:
    client.record_send(claim, 1, 3)
    return Write(claim, 4, sends=1)


def end_undone(client: Client, claim: Claim) -> Write:
    return Write(claim, settled=True)


def epoch_given_out_again(client: Client, claim: Claim) -> Write:
    claim_undone(client, claim)
    (theirs,) = client.claim_batches(bridge_id=uuid4())
    assert theirs.claim_epoch == claim.claim_epoch
    return Write(claim)


def done_again_by_another(client: Client, claim: Claim) -> Write:
    """The batch's row is as if this bridge had gone on with it."""
    epoch_given_out_again(client, claim)
    client.record_send(claim, 1, 10)
    client.finish_batch(claim)
    return Write(claim, 5, sends=1)


def send_undone_and_taken_over(client: Client, claim: Claim) -> Write:
    """What nobody reported is in the ledger under the same name, and is no record of a send."""
    write = send_undone(client, claim)
    client.advance(2 * MINUTE)
    client.claim_batches(10, bridge_id=uuid4())
    return write


LOSSES = [
    gone, claim_undone, send_undone, refusal_undone, failed_task_undone, end_undone,
    send_undone_and_taken_over, epoch_given_out_again, done_again_by_another,
]  # fmt: skip


@pytest.mark.parametrize("lose", LOSSES, ids=lambda lose: lose.__name__)
def test_what_is_missing_pauses_all_destinations_and_says_why(
    client: Client, claim: Claim, lose: Callable[[Client, Claim], Write]
) -> None:
    client.create_stage_tasks(client.create_job(), 1, "h3_hexagon", 1)
    intact = Write(client.claim())
    client.stop_clock()
    write = lose(client, claim)
    now = client.now()
    lost = client.check_writes(intact, write).lost
    for part in (
        "lost committed transactions",
        str(client.bridge_id),
        str(now)[:19],
        f"batch {claim.batch_id} of job {claim.job_id}",
        "resume_destination",
    ):
        assert part in lost
    assert str(intact.claim.batch_id) not in lost
    for name in DESTINATIONS:
        row = client.destination(name)
        assert (row.status, row.paused_at, row.probe_at) == ("paused", now, None)
        assert row.pause_reason.startswith(lost)


def test_the_pause_is_like_an_operators(client: Client, claim: Claim) -> None:
    """Neither time nor an accepted send ends it; resume_destination does."""
    client.create_stage_tasks(client.create_job(), 1, "h3_hexagon", 1)
    other = client.claim()
    client.execute(
        "select stagebus.release_batch(%s, %s, %s, p_reason => 'the broker says no',"
        " p_destination_is => 'refused')",
        other.job_id,
        other.batch_id,
        other.claim_epoch,
    )
    client.execute("select stagebus.pause_destination('jobs', 'they are moved')")
    client.check_writes(end_undone(client, claim))
    assert "; before: the broker says no" in client.destination().pause_reason
    assert "; before: they are moved" in client.destination("jobs").pause_reason
    client.record_send(claim, 1, 3)
    client.advance(timedelta(hours=1))
    assert client.claim_batches(10) == []
    assert paused(client) == set(DESTINATIONS)
    client.execute("select stagebus.resume_destination('tasks')")
    assert len(client.claim_batches(10)) == 2


def test_a_job_that_is_gone_after_seven_days_may_have_been_deleted(
    client: Client, claim: Claim
) -> None:
    client.advance(8 * DAY)
    assert client.check_writes(end_undone(client, claim)).lost is not None
    for name in DESTINATIONS:
        client.execute("select stagebus.resume_destination(%s)", name)
    assert client.check_writes(gone(client, claim)).lost is None
    assert paused(client) == set()
