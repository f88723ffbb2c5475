"""A task that the broker does not take fails alone; the batch goes on behind it."""

from __future__ import annotations

from uuid import UUID

import pytest

from tests.client import Client

TOKEN = UUID(int=1)


@pytest.fixture
def job_id(client: Client) -> UUID:
    job_id = client.create_job()
    client.create_stage_tasks(job_id, 1, "h3_hexagon", 3)
    return job_id


def test_the_rest_of_the_batch_is_what_comes_after_it(client: Client, job_id: UUID) -> None:
    claim = client.claim()
    client.record_send(claim, 1, 1)
    assert client.fail_unsendable_task(claim, 2, "too big")
    assert client.batch(claim).published_through == 2
    assert [message.task_index for message in client.batch_messages(claim, 1)] == [3]
    (failed,) = client.rows("select * from stagebus.tasks where status = 'failed'")
    assert (failed.task_index, failed.error, failed.attempt) == (2, "too big", 1)
    assert client.recount(job_id) == []


def test_told_again_it_answers_the_same_and_counts_once(client: Client, job_id: UUID) -> None:
    claim = client.claim()
    assert client.fail_unsendable_task(claim, 1)
    assert client.fail_unsendable_task(claim, 1)
    assert client.task_states(job_id) == {"failed": 1, "pending_queue": 2}
    assert client.recount(job_id) == []


def test_a_claim_that_is_over_changes_nothing(client: Client, job_id: UUID) -> None:
    claim = client.claim()
    before = client.contents()
    assert not client.fail_unsendable_task(claim, 1, epoch=claim.claim_epoch - 1)
    assert not client.fail_unsendable_task(claim, 4)
    assert client.contents() == before


def test_a_task_that_was_started_meanwhile_is_its_workers(client: Client, job_id: UUID) -> None:
    """Its message of an earlier dispatch was still on the queue."""
    messages = client.publish()
    (batch,) = client.batches(job_id)
    client.order("retry_batch", job_id, batch.batch_id)
    claim = client.claim()
    client.start(messages[1], TOKEN)
    assert client.fail_unsendable_task(claim, 2)
    assert client.task_states(job_id) == {"processing": 1, "pending_queue": 2}
    assert client.recount(job_id) == []
    assert client.complete_task(messages[1].task_id, TOKEN) == "completed"


def test_the_last_task_of_a_stage_ends_it(client: Client, job_id: UUID) -> None:
    claim = client.claim()
    messages = client.batch_messages(claim)
    client.record_send(claim, 1, 2)
    client.start_all(messages[:2], TOKEN)
    client.complete_tasks([message.task_id for message in messages[:2]], TOKEN)
    assert client.fail_unsendable_task(claim, 3)
    assert client.stage(job_id).status == "completed_with_errors"
    assert client.finish_batch(claim), "the batch is settled after its stage has ended"
    assert client.due_advances() == [(job_id, 1)]


def test_an_operator_may_have_it_tried_again(client: Client, job_id: UUID) -> None:
    claim = client.claim()
    assert client.fail_unsendable_task(claim, 1)
    client.record_send(claim, 2, 3)
    client.finish_batch(claim)
    client.order("retry_tasks", job_id, 1)
    client.work_orders()
    client.maintain()
    assert [(m.task_index, m.attempt) for m in client.publish()] == [(1, 2)]


def test_a_message_to_a_controller_has_no_task_that_could_fail(client: Client) -> None:
    client.set_task_type("told", job_messages=True)
    published = client.published_stage(1, "told")
    client.start(published.messages[0], TOKEN)
    client.complete_task(published.task_ids[0], TOKEN)
    claim = client.claim()
    assert not client.fail_unsendable_task(claim, 1)
    assert client.task_states(published.job_id) == {"completed": 1}
