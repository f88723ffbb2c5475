"""A transaction that somebody left open keeps what it has locked, and nothing else of the house."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest

from tests.client import Client, PublishedStage
from tests.counter_tree import slot_of

TOKEN = UUID(int=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def other(client: Client) -> Client:
    """Another session, which does not wait for long."""
    other = client.session()
    other.execute("set lock_timeout = '2s'")
    return other


def lost_stage(client: Client, tasks: int) -> PublishedStage:
    """All of it was started in its last attempt, and the workers are gone."""
    client.set_task_type("work", timeout="1 minute", max_attempts=1)
    published = client.published_stage(tasks, "work")
    client.start_all(published.messages, TOKEN)
    return published


HOLDERS: dict[str, tuple[int, Callable[[Client, PublishedStage], object]]] = {
    # Tasks, of which the first and the last count in what a call on one of them locks.
    "slot": (65, lambda client, stage: client.complete_task(stage.task_ids[0], TOKEN)),
    "group": (2, lambda client, stage: client.complete_task(stage.task_ids[0], TOKEN)),
    "stage": (
        2,
        lambda client, stage: client.order("set_stage", stage.job_id, 1, on_failure="wait"),
    ),
    "job": (
        2,
        lambda client, stage: client.execute("select stagebus.set_priority(%s, 3)", stage.job_id),
    ),
}


@pytest.mark.parametrize("locked", HOLDERS)
def test_lost_attempts_end_of_all_that_is_not_counted_where_somebody_has_locked(
    client: Client, other: Client, locked: str
) -> None:
    tasks, hold = HOLDERS[locked]
    held, free = lost_stage(client, tasks), lost_stage(client, 3)
    client.advance(HOUR)
    with client.transaction():
        hold(client, held)
        other.end_lost_attempts()
        assert other.task(held.task_ids[-1]).status == "processing"
        assert other.task_states(free.job_id) == {"failed": 3}
    other.end_lost_attempts()
    assert other.task(held.task_ids[-1]).status == "failed"
    for stage in (held, free):
        assert client.stage(stage.job_id).status == "completed_with_errors"
        assert client.recount(stage.job_id) == []


def test_what_is_to_be_tried_again_is_counted_nowhere_and_waits_for_nobody(
    client: Client, other: Client
) -> None:
    published = lost_stage(client, 65)
    client.set_task_type("work", max_attempts=2)
    client.advance(HOUR)
    assert slot_of(1) == slot_of(65)
    with client.transaction():
        client.complete_task(published.task_ids[0], TOKEN)
        assert other.end_lost_attempts() == 64


def test_what_is_passed_over_keeps_no_other_from_its_end(client: Client, other: Client) -> None:
    held = lost_stage(client, 2)
    client.advance(timedelta(seconds=1))
    free = lost_stage(client, 1)
    client.advance(HOUR)
    with client.transaction():
        client.complete_task(held.task_ids[0], TOKEN)
        assert other.end_lost_attempts(1) == 1
        assert other.task_states(free.job_id) == {"failed": 1}


def test_maintenance_waits_for_nobody_who_counts(client: Client, other: Client) -> None:
    """Not even while it holds the stage of a retry, for which whoever counts may wait."""
    client.set_task_type("work", timeout="1 minute", retry_delay="0", max_attempts=1)
    published = client.published_stage(4097, "work")
    client.start_all(published.messages, TOKEN)
    retried, counted, lost, last = (published.task_ids[n - 1] for n in (2, 1, 65, 4097))
    assert slot_of(1) == slot_of(65) != slot_of(4097)
    client.set_task_type("work", max_attempts=2)
    client.fail_tasks([retried], TOKEN, ["why"])
    client.set_task_type("work", max_attempts=1)
    client.execute(
        "update stagebus_data.running_attempts set lease_until = lease_until - interval '1 hour'"
        " where task_index = 65"
    )
    third = client.session()
    with client.transaction():
        client.execute("select from stagebus_data.counter_groups where group_no = 1 for update")
        completing = third.in_background(lambda: third.complete_tasks([counted, last], TOKEN))
        client.wait_until_blocked(third, completing)
        assert other.maintain() == (0, 1)
    assert completing.result(timeout=20) == ["completed", "completed"]
    assert other.maintain() == (1, 0)
    assert client.task(lost).status == "failed"
    assert client.recount(published.job_id) == []


def test_retries_of_a_stage_that_is_locked_keep_no_others_from_their_turn(
    client: Client, other: Client
) -> None:
    client.stop_clock()
    client.set_task_type("work", retry_delay="0")
    held, free = (client.published_stage(2, "work") for _ in range(2))
    for published in (held, free):
        client.start_all(published.messages, TOKEN)
        client.fail_tasks(published.task_ids, TOKEN, ["why"] * 2)
        client.advance(timedelta(seconds=1))
    with client.transaction():
        client.order("set_stage", held.job_id, 1, on_failure="wait")
        assert other.gather_retries(2) == 2
        assert other.task_states(free.job_id) == {"pending_queue": 2}
    assert other.gather_retries(2) == 2
