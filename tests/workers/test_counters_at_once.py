"""Calls that count in the same slots at once: in which order they lock them."""

from __future__ import annotations

from uuid import UUID

from tests.client import Client
from tests.counter_tree import slot_of

TOKEN = UUID(int=1)


def test_slots_are_locked_in_their_order(client: Client) -> None:
    """Waiting for the first of its slots, a call does not hold the second, whatever its tasks."""
    published = client.published_stage(128)
    client.start_all(published.messages, TOKEN)
    assert (slot_of(64), slot_of(65)) == (63, 0)
    other = client.session()
    with client.transaction():
        client.execute("select from stagebus_data.counter_slots where slot_no = 0 for update")
        waiting = other.in_background(
            lambda: other.complete_tasks(published.task_ids[63:65], TOKEN)
        )
        client.wait_until_blocked(other, waiting)
        free = client.column(
            "select slot_no from stagebus_data.counter_slots where slot_no = 63"
            " for update skip locked"
        )
    assert free == [63]
    assert waiting.result() == ["completed"] * 2
    assert client.recount(published.job_id) == []


def test_two_calls_that_count_in_one_slot_both_count(client: Client) -> None:
    published = client.published_stage(129)
    client.start_all(published.messages, TOKEN)
    assert slot_of(1) == slot_of(65) == slot_of(129)
    other = client.session()
    with client.transaction():
        client.complete_tasks(published.task_ids[:1], TOKEN)
        second = other.in_background(lambda: other.complete_tasks(published.task_ids[64:65], TOKEN))
        client.wait_until_blocked(other, second)
    assert second.result() == ["completed"]
    assert client.recount(published.job_id) == []
