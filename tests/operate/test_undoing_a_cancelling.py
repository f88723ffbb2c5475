"""What undo_order takes back of a cancelled job: its own work, and the job runs again."""

from __future__ import annotations

from uuid import UUID

from tests.client import MINUTE, Client, PublishedStage

TOKEN = UUID(int=1)


def stage_with_a_failure(client: Client, stage: int = 1, job_id: UUID | None = None) -> UUID:
    """A stage of two tasks has ended, one of them failed; its job is due to advance."""
    published = client.published_stage(2, "work", stage=stage, job_id=job_id)
    client.start_all(published.messages, TOKEN)
    client.complete_task(published.task_ids[0], TOKEN)
    client.fail_task(published.task_ids[1], TOKEN, retry=False)
    return published.job_id


def test_a_job_that_was_only_repairing_an_earlier_stage_runs_again(client: Client) -> None:
    client.set_task_type("work")
    job_id = stage_with_a_failure(client)
    stage_with_a_failure(client, 2, job_id)
    client.order("retry_tasks", job_id, 1)
    client.work_orders()
    cancelling = client.order("cancel_job", job_id)
    client.work_orders()
    assert client.job(job_id).status == "cancelled"

    client.orders("undo_order", cancelling.order_id)
    assert client.job(job_id).status == "running"
    assert client.due_advances() == [(job_id, 2)]
    client.work_orders()
    assert client.task_states(job_id) == {"completed": 1, "retry_wait": 1}
    assert client.job(job_id).status == "running"


def test_what_another_order_had_cancelled_before_stays_cancelled(client: Client) -> None:
    client.stop_clock()
    first = client.published_stage(3, "h3_hexagon")
    client.order("cancel_stage", first.job_id, 1)
    client.work_orders()
    client.advance(MINUTE)
    client.published_stage(2, "h3_hexagon", stage=2, job_id=first.job_id)
    cancelling = client.order("cancel_job", first.job_id)
    client.work_orders()

    (undoing,) = client.orders("undo_order", cancelling.order_id)
    client.work_orders()
    assert (undoing.stage, undoing.tasks) == (2, 2)
    assert client.task_states(first.job_id, 1) == {"cancelled": 3}
    assert client.task_states(first.job_id, 2) == {"retry_wait": 2}


def test_a_batch_of_retries_that_is_gathered_while_a_cancelling_is_ordered_is_met_by_it(
    client: Client,
) -> None:
    """Otherwise an order that is stopped in time could leave the batch cancelled for good."""
    client.set_task_type("work", retry_delay="0")
    published: PublishedStage = client.published_stage(2, "work")
    client.start_all(published.messages, TOKEN)
    client.fail_task(published.task_ids[0], TOKEN)
    other = client.session()
    with client.transaction():
        assert client.value("select stagebus.gather_retries(10)") == 1
        cancelling = other.in_background(
            lambda: other.order("cancel_stage", published.job_id, 1).order_id
        )
        client.wait_until_blocked(other, cancelling)
    order_id = cancelling.result()
    assert client.claim_batches(10) == []
    client.order("stop_order", order_id)
    assert [message.attempt for message in client.publish()] == [2]
