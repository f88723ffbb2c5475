"""`job_progress` counts what is published again as its tasks do, though it reads none of them."""

from __future__ import annotations

from uuid import UUID

import pytest

from tests.client import Client, Message
from tests.observe.causes import causes
from tests.observe.test_views import OTHER, TOKEN, shown
from tests.observe.troubles import later

pytestmark = pytest.mark.usefixtures("quiet")


def agrees(client: Client, job_id: UUID, **expected: int) -> None:
    assert shown(client, job_id) == client.task_states(job_id) == expected


def half_published(client: Client) -> tuple[UUID, list[Message]]:
    """A stage of four batches of five, two of them on the bus; of the first two tasks are done."""
    client.set_task_type("work", batch_size=5, timeout="1 hour", retry_delay="0")
    job_id = client.create_job()
    client.create_stage_tasks(job_id, 1, "work", 20)
    messages = []
    for claim in client.claim_batches(2):
        messages += client.batch_messages(claim)
        client.finish_batch(claim)
    client.start_all(messages[:3], TOKEN)
    client.complete_tasks([message.task_id for message in messages[:2]], TOKEN)
    agrees(client, job_id, completed=2, processing=1, queued=7, pending_queue=10)
    return job_id, messages


def test_after_a_cancelling_that_was_undone(client: Client) -> None:
    job_id, _ = half_published(client)
    cancelling = client.order("cancel_stage", job_id, 1)
    client.work_orders()
    agrees(client, job_id, completed=2, cancelled=18)
    client.orders("undo_order", cancelling.order_id)
    client.work_orders()
    agrees(client, job_id, completed=2, retry_wait=18)
    client.gather_retries(8)
    agrees(client, job_id, completed=2, retry_wait=10, pending_queue=8)
    assert len(client.publish()) == 8
    agrees(client, job_id, completed=2, retry_wait=10, queued=8)
    client.gather_retries()
    client.publish()
    agrees(client, job_id, completed=2, queued=18)
    later(client, minutes=2)
    assert causes(client, job_id) == ["not started"]


def test_after_a_cancelling_that_was_stopped_half_way(client: Client) -> None:
    job_id, _ = half_published(client)
    cancelling = client.order("cancel_stage", job_id, 1)
    for limit in (100, 12):
        client.execute("select stagebus.work_order(%s, %s)", cancelling.order_id, limit)
    client.order("stop_order", cancelling.order_id)
    # Of the third batch two were cancelled; the fourth is as it was.
    agrees(client, job_id, completed=2, cancelled=10, pending_queue=8)
    client.publish()
    agrees(client, job_id, completed=2, cancelled=10, queued=8)


def test_of_a_batch_that_is_retried_when_some_of_its_tasks_have_ended(client: Client) -> None:
    job_id, messages = half_published(client)
    client.fail_task(messages[2].task_id, TOKEN, "not yet")
    client.gather_retries()
    agrees(client, job_id, completed=2, queued=7, pending_queue=11)
    batch, *_ = client.batches(job_id)
    client.order("retry_batch", job_id, batch.batch_id)
    agrees(client, job_id, completed=2, queued=5, pending_queue=13)
    claims = client.claim_batches(10)
    agrees(client, job_id, completed=2, queued=5, pending_queue=13)
    for claim in claims:
        client.finish_batch(claim)
    agrees(client, job_id, completed=2, queued=18)


def test_of_a_batch_of_retries_that_is_retried(client: Client) -> None:
    job_id, messages = half_published(client)
    client.start_all(messages[3:7], TOKEN)
    failed = [message.task_id for message in messages[2:7]]
    client.fail_tasks(failed, TOKEN, ["not yet"] * 5)
    client.gather_retries()
    client.start_all([again := client.publish()[-1]], OTHER)
    client.complete_task(again.task_id, OTHER)
    agrees(client, job_id, completed=3, queued=17)
    *_, batch = client.batches(job_id)
    client.order("retry_batch", job_id, batch.batch_id)
    agrees(client, job_id, completed=3, queued=13, pending_queue=4)
    client.publish()
    agrees(client, job_id, completed=3, queued=17)


def test_of_a_batch_that_was_not_started_in_time(client: Client) -> None:
    client.set_task_type("work", start_timeout="10 minutes")
    job_id, _ = half_published(client)
    client.publish()
    later(client, minutes=11)
    client.maintain()
    agrees(client, job_id, completed=2, processing=1, pending_queue=17)
    client.finish_batch(client.claim())
    assert sum(client.task_states(job_id).values()) == 20
    assert shown(client, job_id) == client.task_states(job_id)


def test_while_it_is_published_again_what_an_older_message_started_is_made_up_for(
    client: Client,
) -> None:
    job_id, messages = half_published(client)
    batch, *_ = client.batches(job_id)
    client.order("retry_batch", job_id, batch.batch_id)
    client.start_all(messages[3:5], TOKEN)
    states = client.task_states(job_id)
    assert states == {"completed": 2, "processing": 3, "queued": 5, "pending_queue": 10}
    progress = client.progress(job_id)
    assert progress.pending_queue + progress.queued == 15
    client.publish()
    agrees(client, job_id, completed=2, processing=3, queued=15)
