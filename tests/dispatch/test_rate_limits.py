"""A destination's rate limit, which all bridges share through its row."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.client import MINUTE, Client

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
WAITING = "select count(*) from stagebus_data.batches where state = 'pending_queue'"


@pytest.fixture
def small(client: Client) -> Client:
    """A stopped clock, and 1,000 tasks in batches of ten."""
    client.stop_clock()
    create(client, 1000)
    return client


def create(client: Client, tasks: int) -> UUID:
    client.set_task_type("work", batch_size=10)
    job_id = client.create_job()
    client.create_stage_tasks(job_id, 1, "work", tasks)
    return job_id


def limit(client: Client, per_second: float | None, destination: str | None = "tasks") -> None:
    client.execute("select stagebus.set_rate_limit(%s, %s)", destination, per_second)


def status(client: Client) -> Any:
    return client.row("select * from stagebus.destination_status where destination = 'tasks'")


def rate(*bridges: Client, seconds: int, limit: int = 100) -> float:
    """The batches a second of bridges that look ten times a second."""
    found = 0
    for _ in range(10 * seconds):
        bridges[0].advance(SECOND / 10)
        for bridge in bridges:
            found += len(bridge.claim_batches(limit, lease=MINUTE, start=1))
    return found / seconds


def test_without_a_limit_all_can_be_claimed(small: Client) -> None:
    claims = small.claim_batches(1000)
    assert len(claims) == 100
    assert {claim.limited_for for claim in claims} == {None}
    assert (status(small).per_second, status(small).limited_until) == (None, None)


def test_one_bridge_keeps_to_a_limit(small: Client) -> None:
    limit(small, 50)
    assert rate(small, seconds=10) == pytest.approx(5, abs=0.2)


def test_two_bridges_share_a_limit(small: Client) -> None:
    limit(small, 50)
    assert rate(small, small.session(), seconds=10) == pytest.approx(5, abs=0.2)


def test_a_claim_says_how_long_the_next_has_to_wait(small: Client) -> None:
    limit(small, 20)
    (claim,) = small.claim_batches(10)
    assert claim.limited_for == SECOND / 2
    assert status(small).limited_until == small.now() + SECOND / 2
    small.advance(SECOND / 2 - timedelta(milliseconds=1))
    assert small.claim_batches(10) == []
    small.advance(timedelta(milliseconds=1))
    assert len(small.claim_batches(10)) == 1


def test_after_a_pause_a_seconds_tasks_go_out_at_once(small: Client) -> None:
    limit(small, 50)
    small.advance(60 * MINUTE)
    # And a batch, since nothing is owed.
    assert [len(small.claim_batches(100)) for _ in range(3)] == [5, 1, 0]
    small.advance(SECOND / 5)
    assert [len(small.claim_batches(100)) for _ in range(2)] == [1, 0]


def test_a_batch_of_more_than_a_second_is_paid_for_afterwards(small: Client) -> None:
    limit(small, 1)
    (claim,) = small.claim_batches(10)
    assert claim.limited_for == 10 * SECOND
    assert rate(small, seconds=30) == pytest.approx(0.1, abs=0.01)


def test_of_two_claims_at_once_one_is_passed_over(small: Client) -> None:
    limit(small, 10)
    other = small.session()
    with small.transaction():
        assert len(small.claim_batches(10)) == 1
        assert other.claim_batches(10) == []
    assert other.claim_batches(10) == []


def test_a_limit_is_of_one_destination(small: Client) -> None:
    small.set_task_type("elsewhere", destination="jobs", batch_size=1)
    small.create_stage_tasks(small.create_job(), 1, "elsewhere", 5)
    limit(small, 1)
    claims = small.claim_batches(1000)
    assert sorted(claim.entity for claim in claims) == ["jobs"] * 5 + ["tasks"]


def test_a_lost_lease_counts_as_well(small: Client) -> None:
    small.claim_batches(3)
    limit(small, 10)
    small.advance(MINUTE + SECOND)
    # A bridge that takes over does not wait for a limit that was not there.
    assert len(small.claim_batches(3)) == 3
    assert status(small).limited_until == small.now() + 2 * SECOND


def test_what_of_a_batch_is_out_does_not_count_again(small: Client) -> None:
    limit(small, 10)
    (claim,) = small.claim_batches(1)
    assert small.record_send(claim, 1, 6)
    assert small.release_batch(claim)
    # What is left of it is not paid any more.
    small.advance(0.6 * SECOND)
    (again,) = small.claim_batches(1)
    while again.batch_id != claim.batch_id:
        small.advance(SECOND)
        (again,) = small.claim_batches(1)
    assert again.limited_for == timedelta(seconds=0.4)


def test_what_is_given_back_unsent_is_not_paid(small: Client) -> None:
    """A bridge that drains, or a broker that is away for a moment, lets nobody wait."""
    limit(small, 1)
    (claim,) = small.claim_batches(1)
    assert status(small).limited_until == small.now() + 10 * SECOND
    small.advance(SECOND)
    assert small.release_batch(claim)
    assert status(small).limited_until in (None, small.now())
    (again,) = small.claim_batches(1)
    assert again.limited_for == 10 * SECOND
    # No more than is owed: the second before was used.
    limit(small, 5)
    (claim,) = small.claim_batches(1)
    small.advance(1.5 * SECOND)
    assert small.release_batch(claim)
    (again,) = small.claim_batches(1)
    assert again.limited_for == 2 * SECOND


def test_what_is_cancelled_instead_of_published_is_not_paid(small: Client) -> None:
    (job_id,) = {batch.job_id for batch in small.rows("select job_id from stagebus_data.batches")}
    small.order("cancel_job", job_id)
    create(small, 10)
    limit(small, 1)
    small.advance(SECOND)
    # A hundred are cancelled before it, and none is left after it.
    found = [claim for _ in range(120) for claim in small.claim_batches(1)]
    assert found[0].limited_for == 9 * SECOND


def test_what_is_held_instead_of_published_is_not_paid(small: Client) -> None:
    small.set_destination("tasks", duplicate_window="10 minutes")
    (claim,) = small.claim_batches(1, start=1)
    assert small.record_send(claim, 1, 10, "unknown", "nobody answered")
    small.fail_batch(claim)
    limit(small, 1)
    small.advance(30 * MINUTE)
    assert small.claim_batches(1, start=1) == []
    assert small.batch(claim).state == "held"
    (other,) = small.claim_batches(1, start=1)
    assert other.limited_for == 9 * SECOND


def test_a_limit_that_is_raised_counts_at_once(small: Client) -> None:
    limit(small, 0.001)
    assert len(small.claim_batches(10)) == 1
    assert small.claim_batches(10) == []
    limit(small, 100)
    assert rate(small, seconds=3) == pytest.approx(10, abs=0.5)


def test_a_limit_that_is_lowered_counts_at_once(small: Client) -> None:
    limit(small, 1000)
    small.advance(SECOND)
    assert len(small.claim_batches(20)) == 20
    limit(small, 10)
    assert rate(small, seconds=5) == pytest.approx(1, abs=0.3)


def test_a_limit_that_is_removed_is_gone(small: Client) -> None:
    limit(small, 0.001)
    assert len(small.claim_batches(10)) == 1
    limit(small, None)
    assert len(small.claim_batches(1000)) == 99


def test_under_a_limit_a_small_job_comes_soon(small: Client) -> None:
    limit(small, 10)
    rate(small, seconds=20)
    little = create(small, 5)
    waited = 0
    found: list[UUID] = []
    while little not in found:
        small.advance(SECOND)
        waited += 1
        # Where so little can be claimed a bridge looks at everything each time.
        found += [claim.job_id for claim in small.claim_batches(4)]
    # Often the next, and by chance the oldest before it: not forty in a row.
    assert waited < 40


@pytest.mark.parametrize("per_second", [0, -1, 1e10, float("nan"), float("inf")])
def test_a_limit_is_in_its_range(small: Client, per_second: float) -> None:
    with small.refused("SB116"):
        limit(small, per_second)


def test_a_limit_is_of_a_destination_that_exists(small: Client) -> None:
    with small.refused("SB125"):
        limit(small, 10, "nowhere")


@pytest.mark.parametrize("seed", range(3))
def test_no_time_has_more_than_its_own_tasks_a_seconds_and_a_batch(
    small: Client, seed: int
) -> None:
    """What went out between any two moments, against the bucket that it is."""
    limit(small, 50)
    chance = random.Random(seed)
    bridges = [small, small.session()]
    at: list[tuple[float, int]] = []
    now = 0.0
    for _ in range(150):
        pause = chance.choice([0.05, 0.1, 0.3, 2.0])
        small.advance(timedelta(seconds=pause))
        now += pause
        bridge = chance.choice(bridges)
        claims = bridge.claim_batches(chance.randrange(1, 7), lease=DAY, start=chance.randrange(2))
        at.append((now, 10 * len(claims)))
    assert small.value(WAITING) == 0
    for index, (begin, _) in enumerate(at):
        total = 0
        for moment, tasks in at[index:]:
            total += tasks
            assert total <= 50 * (moment - begin) + 50 + 10 + 1e-6
