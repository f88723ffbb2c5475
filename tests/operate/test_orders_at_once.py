"""A step of an order waits for who has its tasks, and then looks at what they are."""

from __future__ import annotations

from uuid import UUID

import psycopg
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


def test_a_step_does_not_wait_for_a_transaction_that_somebody_left_open(
    client: Client, other: Client, published: PublishedStage
) -> None:
    client.execute("alter function stagebus.work_order set lock_timeout = '100ms'")
    order_id = client.order("cancel_stage", published.job_id, 1).order_id
    with other.transaction():
        other.complete_task(published.task_ids[0], TOKEN)
        step = client.order("work_order", order_id)
        assert (step.status, step.tasks_done) == ("busy", 0)
    assert "open transaction" in client.order_row(order_id).last_error
    assert client.order("work_order", order_id).tasks_done == 1
    assert client.order_row(order_id).last_error is None
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


def test_no_retry_is_gathered_into_a_stage_whose_cancelling_was_just_ordered(
    client: Client, other: Client, published: PublishedStage
) -> None:
    client.set_task_type("h3_hexagon", retry_delay="0")
    client.fail_task(published.task_ids[0], TOKEN)
    with client.transaction():
        client.order("cancel_stage", published.job_id, 1)
        assert other.gather_retries() == 0
    assert other.gather_retries() == 0
    assert client.task(published.task_ids[0]).status == "retry_wait"
    assert len(client.batches(published.job_id)) == 1


def test_a_stage_that_is_made_while_its_job_is_cancelled_is_cancelled_with_it(
    client: Client, other: Client
) -> None:
    job_id = client.create_job()
    with client.transaction():
        client.create_stage_tasks(job_id, task_count=2)
        cancelling = other.in_background(lambda: other.order("cancel_job", job_id))
        client.wait_until_blocked(other, cancelling)
    assert cancelling.result().tasks == 2
    assert client.claim_batches(1) == []
    client.work_orders()
    assert client.job(job_id).status == "cancelled"


def fail_both(client: Client, published: PublishedStage, **policy: str) -> int:
    """The stage ends with its failures; its retry is ordered, and not begun."""
    client.order("set_stage", published.job_id, 1, **policy)
    client.fail_tasks(published.task_ids, TOKEN, ["why"] * 2, retry=False)
    order_id = client.order("retry_tasks", published.job_id, 1).order_id
    assert order_id is not None
    return order_id


@pytest.mark.parametrize("cancelling", ["cancel_stage", "cancel_job"])
def test_a_retry_is_over_when_its_stage_is_cancelled_after_it(
    client: Client, published: PublishedStage, cancelling: str
) -> None:
    client.fail_task(published.task_ids[0], TOKEN, retry=False)
    retry = client.order("retry_tasks", published.job_id, 1).order_id
    client.order(cancelling, published.job_id, *([1] if cancelling == "cancel_stage" else []))
    client.order("work_order", retry)
    assert client.order_row(retry).status == "done"
    assert client.task(published.task_ids[0]).status == "failed"
    client.work_orders()
    assert client.task_states(published.job_id) == {"failed": 1, "cancelled": 1}


def test_a_stage_that_reopens_while_the_next_one_is_made_is_a_repair(
    client: Client, other: Client, published: PublishedStage
) -> None:
    order_id = fail_both(client, published)
    with client.transaction():
        client.create_stage_tasks(published.job_id, 2)
        step = other.in_background(lambda: other.order("work_order", order_id))
        client.wait_until_blocked(other, step)
    assert step.result().tasks_done == 2
    assert client.stage(published.job_id, 1).repair
    assert client.stage(published.job_id, 2).status == "open"


def test_a_stage_is_not_judged_again_while_the_next_one_is_made(
    client: Client, other: Client, published: PublishedStage
) -> None:
    fail_both(client, published, tolerated_failures="0", on_failure="wait")
    with client.transaction():
        client.create_stage_tasks(published.job_id, 2)
        judged = other.in_background(
            lambda: other.order("set_stage", published.job_id, 1, tolerated_failures="2")
        )
        client.wait_until_blocked(other, judged)
    error = judged.exception()
    assert isinstance(error, psycopg.Error)
    assert error.sqlstate == "SB120"
    assert client.stage(published.job_id).status == "failed"


def test_a_stage_of_a_job_that_is_being_cancelled_is_not_retried(
    client: Client, published: PublishedStage
) -> None:
    client.fail_tasks(published.task_ids, TOKEN, ["why"] * 2, retry=False)
    client.published_stage(1, stage=2, job_id=published.job_id)
    client.order("cancel_job", published.job_id)
    with client.refused("SB120"):
        client.order("retry_tasks", published.job_id, 1)


def test_the_next_stage_is_not_made_by_who_has_not_seen_the_reopening(
    client: Client, other: Client, published: PublishedStage
) -> None:
    """open_stage runs in any isolation: the job's row is what tells it."""
    order_id = fail_both(client, published, tolerated_failures="0", on_failure="wait")

    def look_and_then_make_the_next() -> None:
        with client.transaction("repeatable read"):
            assert client.stage(published.job_id).status == "failed"
            other.order("work_order", order_id)
            client.create_stage_tasks(published.job_id, 2)

    with pytest.raises(psycopg.errors.SerializationFailure):
        look_and_then_make_the_next()
    assert client.stage(published.job_id).status == "open"
    assert not client.stage(published.job_id).repair
