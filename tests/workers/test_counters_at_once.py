"""Calls that count in the same rows at once: in which order they lock them."""

from __future__ import annotations

from uuid import UUID

import pytest

from tests.client import Client
from tests.counter_tree import slot_of

TOKEN = UUID(int=1)


@pytest.fixture
def other(client: Client) -> Client:
    return client.session()


def held_while_waiting(
    client: Client, other: Client, task_ids: list[str], first: str, second: str
) -> bool:
    """Whether a call that waits for the first row of a table holds the second one already."""
    with client.transaction():
        client.execute(f"select from stagebus_data.{first} for update")
        waiting = other.in_background(lambda: other.complete_tasks(task_ids, TOKEN))
        client.wait_until_blocked(other, waiting)
        free = client.rows(f"select from stagebus_data.{second} for update skip locked")
    assert set(waiting.result()) == {"completed"}
    return not free


def test_slots_are_locked_in_their_order(client: Client, other: Client) -> None:
    published = client.published_stage(128)
    client.start_all(published.messages, TOKEN)
    assert (slot_of(64), slot_of(65)) == (63, 0)
    assert not held_while_waiting(
        client,
        other,
        published.task_ids[63:65],
        "counter_slots where slot_no = 0",
        "counter_slots where slot_no = 63",
    )
    assert client.recount(published.job_id) == []


def test_groups_are_counted_in_their_order(client: Client, other: Client) -> None:
    published = client.published_stage(4097)
    client.start_all(published.messages, TOKEN)
    assert (slot_of(4033), slot_of(4097)) == (0, 64)
    assert not held_while_waiting(
        client,
        other,
        published.task_ids[::64],
        "counter_groups where group_no = 0",
        "counter_groups where group_no = 1",
    )
    assert client.recount(published.job_id) == []


def test_stages_end_in_their_order(client: Client, other: Client) -> None:
    first, second = sorted((client.published_stage() for _ in range(2)), key=lambda p: p.job_id)
    client.start_all([*first.messages, *second.messages], TOKEN)
    assert not held_while_waiting(
        client,
        other,
        [*second.task_ids, *first.task_ids],
        f"stages where job_id = '{first.job_id}'",
        f"stages where job_id = '{second.job_id}'",
    )
    assert len(client.due_advances()) == 2


def test_two_calls_that_count_in_one_slot_both_count(client: Client, other: Client) -> None:
    published = client.published_stage(129)
    client.start_all(published.messages, TOKEN)
    assert slot_of(1) == slot_of(65) == slot_of(129)
    with client.transaction():
        client.complete_tasks(published.task_ids[:1], TOKEN)
        second = other.in_background(lambda: other.complete_tasks(published.task_ids[64:65], TOKEN))
        client.wait_until_blocked(other, second)
    assert second.result() == ["completed"]
    assert client.recount(published.job_id) == []
