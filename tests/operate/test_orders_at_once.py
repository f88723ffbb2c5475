"""A step of an order waits for who has its tasks, and then looks at what they are."""

from __future__ import annotations

from uuid import UUID

import pytest

from tests.client import Client, PublishedStage

TOKEN = UUID(int=1)


@pytest.fixture
def other(client: Client) -> Client:
    return client.session()


@pytest.fixture
def published(client: Client) -> PublishedStage:
    """Two tasks that run; the stage's messages are out."""
    published = client.published_stage(2)
    client.start_all(published.messages, TOKEN)
    return published


def test_a_task_that_is_being_completed_is_not_cancelled(
    client: Client, other: Client, published: PublishedStage
) -> None:
    order_id = client.order("cancel_stage", published.job_id, 1).order_id
    with client.transaction():
        assert client.complete_task(published.task_ids[0], TOKEN) == "completed"
        step = other.in_background(lambda: other.order("work_order", order_id))
        client.wait_until_blocked(other, step)
    assert step.result().tasks_done == 1
    assert client.task_states(published.job_id) == {"completed": 1, "cancelled": 1}
    assert client.recount(published.job_id) == []


def test_a_task_that_two_orders_retry_gets_one_more_attempt(
    client: Client, other: Client, published: PublishedStage
) -> None:
    client.fail_task(published.task_ids[0], TOKEN, retry=False)
    first, second = (client.order("retry_tasks", published.job_id, 1).order_id for _ in range(2))
    with client.transaction():
        assert client.order("work_order", first).tasks_done == 1
        step = other.in_background(lambda: other.order("work_order", second))
        client.wait_until_blocked(other, step)
    assert step.result().tasks_done == 0
    assert client.task(published.task_ids[0]).attempt == 2
    assert client.recount(published.job_id) == []
