"""retry_batch and unhold_batch: what a batch begins with, and which of its tasks are meant."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.client import MINUTE, Client


def test_a_batch_that_is_being_published_begins_anew_and_its_bridge_is_refused(
    client: Client,
) -> None:
    client.create_stage_tasks(client.create_job(), task_count=9)
    claim = client.claim()
    before = client.batch_messages(claim)
    client.record_send(claim, 1, 4)
    client.order("retry_batch", claim.job_id, claim.batch_id)
    assert not client.record_send(claim, 5, 9)
    assert not client.finish_batch(claim)
    assert [(send.outcome, send.first_index, send.last_index) for send in client.sends(claim)] == [
        ("accepted", 1, 4),
        ("unknown", 5, 9),
    ]
    again = client.claim()
    assert (again.dispatch, again.published_through) == (2, 0)
    assert again.claim_epoch > claim.claim_epoch
    ids = {message.message_id for message in client.batch_messages(again)}
    assert len(ids) == 9
    assert not ids & {message.message_id for message in before}


def test_a_batch_that_is_let_go_has_all_its_attempts(client: Client) -> None:
    client.create_stage_tasks(client.create_job())
    claim = client.claim()
    client.fail_batch(claim, max_attempts=2)
    client.order("hold_batch", claim.job_id, claim.batch_id)
    client.order("unhold_batch", claim.job_id, claim.batch_id)
    assert client.fail_batch(client.claim(), max_attempts=2) == "pending_queue"


@pytest.mark.parametrize("function", ["hold_batch", "retry_batch"])
def test_nothing_is_ordered_for_a_batch_whose_stage_is_being_cancelled(
    client: Client, function: str
) -> None:
    client.create_stage_tasks(client.create_job())
    claim = client.claim()
    client.order("cancel_stage", claim.job_id, 1)
    with client.refused("SB120"):
        client.order(function, claim.job_id, claim.batch_id)
    assert client.batch(claim).state == "publishing"


def test_attempts_that_began_after_the_order_go_on(client: Client) -> None:
    client.stop_clock()
    published = client.published_stage(2)
    token = uuid4()
    client.start(published.messages[0], token)
    (batch,) = client.batches(published.job_id)
    order = client.order("retry_batch", published.job_id, batch.batch_id, unfinished=True)
    assert (order.status, order.tasks) == ("working", 2)
    client.advance(MINUTE)
    assert client.start_all(client.publish(), token) == ["run"]
    client.work_orders()
    assert client.complete_tasks(published.task_ids, token) == ["stale", "completed"]


def test_a_batch_that_is_published_again_has_all_its_attempts(client: Client) -> None:
    client.stop_clock()
    client.create_stage_tasks(client.create_job())
    for _ in range(2):
        claim = client.claim()
        client.fail_batch(claim, max_attempts=3)
        client.advance(MINUTE)
    claim = client.claim()
    assert client.finish_batch(claim)
    client.order("retry_batch", claim.job_id, claim.batch_id)
    assert client.fail_batch(client.claim(), max_attempts=3) == "pending_queue"


def test_tasks_that_moved_to_another_batch_are_left_to_it(client: Client) -> None:
    client.set_task_type("work", retry_delay="0")
    published = client.published_stage(3, "work")
    token = uuid4()
    client.start_all(published.messages[:2], token)
    client.fail_tasks(published.task_ids[:2], token, ["why"] * 2)
    client.gather_retries()
    running, waiting = client.publish()
    client.start(running, token)
    first, second = client.batches(published.job_id)
    for batch, note in ((first, "1 not started, 0 running"), (second, "1 not started, 1 running")):
        dry = client.order(
            "retry_batch", published.job_id, batch.batch_id, unfinished=True, dry_run=True
        )
        assert dry.note.startswith(note)
    client.order("retry_batch", published.job_id, first.batch_id, unfinished=True)
    client.work_orders()
    assert [message.task_index for message in client.publish()] == [3]
    assert client.start(waiting, token).verdict == "run"
    assert client.complete_tasks(published.task_ids[:2], token) == ["completed"] * 2
