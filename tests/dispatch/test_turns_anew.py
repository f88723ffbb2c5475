"""What is published again, or let go, waits behind what waits already."""

from __future__ import annotations

from uuid import UUID

import pytest

from tests.client import Client
from tests.dispatch.test_turns import DAY, claimed, create, set_priority, turn_of_tasks


@pytest.fixture
def small(client: Client) -> Client:
    """A stopped clock, and a task type whose batches have ten tasks."""
    client.set_task_type("work", batch_size=10)
    client.stop_clock()
    return client


def published(client: Client, tasks: int) -> UUID:
    """A job all of whose batches are queued, at turns that the destination has left behind."""
    job_id = create(client, tasks)
    while client.publish():
        pass
    create(client, 4000)
    claimed(client, 200)
    return job_id


def turns_after_now(client: Client, job_id: UUID) -> list[int]:
    """By how much the turns of its waiting batches are after that of their destination."""
    turns = client.column(
        "select turn from stagebus_data.batches where job_id = %s and state = 'pending_queue'"
        " order by turn",
        job_id,
    )
    return [turn - turn_of_tasks(client) for turn in turns]


def test_batches_that_are_retried_do_not_go_ahead_of_what_waits(small: Client) -> None:
    old = published(small, 30)
    waiting = create(small, 8)
    for batch in small.batches(old):
        small.order("retry_batch", old, batch.batch_id)
    assert turns_after_now(small, old) == [160] * 3
    assert claimed(small, 1) == [waiting]


def test_a_batch_that_failed_and_one_that_was_held_do_not_go_ahead_of_what_waits(
    small: Client,
) -> None:
    old = create(small, 20)
    small.fail_batch(small.claim(), max_attempts=1)
    (failed, held) = sorted(small.batches(old), key=lambda batch: batch.state)
    small.order("hold_batch", old, held.batch_id)
    create(small, 4000)
    claimed(small, 200)
    waiting = create(small, 8)
    small.order("retry_batch", old, failed.batch_id)
    small.order("unhold_batch", old, held.batch_id)
    assert turns_after_now(small, old) == [160] * 2
    assert claimed(small, 1) == [waiting]


def test_a_hold_gains_nothing(small: Client) -> None:
    job_id = create(small, 1000)
    last = small.batches(job_id)[-1]
    small.order("hold_batch", job_id, last.batch_id)
    small.order("unhold_batch", job_id, last.batch_id)
    assert max(turns_after_now(small, job_id)) == 16_000


def test_what_nobody_started_is_published_again_in_a_row(small: Client) -> None:
    small.set_task_type("work", batch_size=10, start_timeout=DAY)
    old = published(small, 50)
    assert set_priority(small, old, 4) == 0
    small.advance(DAY)
    small.maintain()
    assert turns_after_now(small, old) == [320, 640, 960, 1280, 1600]


def test_what_a_stopped_cancelling_leaves_is_published_again_in_a_row(small: Client) -> None:
    old = published(small, 50)
    order = small.order("cancel_job", old)
    small.order("stop_order", order.order_id)
    assert turns_after_now(small, old) == [160, 320, 480, 640, 800]
