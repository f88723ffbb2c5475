"""`batch_status` sums up the batches of each stage that goes on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from tests.client import Client

SECOND = timedelta(seconds=1)
TOKEN = UUID(int=1)


def shown(client: Client) -> dict[str, Any]:
    rows = client.rows("select * from stagebus.batch_status")
    return {row.status: row for row in rows}


def test_a_row_for_each_status_until_the_stage_has_ended(client: Client) -> None:
    client.stop_clock()
    client.set_task_type("work", batch_size=10)
    job_id = client.create_job()
    client.create_stage_tasks(job_id, 1, "work", 45)
    client.advance(SECOND * 3)
    queued, leased, failed = client.claim_batches(3, start=1)
    client.batch_messages(queued)
    client.record_send(queued, 1, 10)
    client.finish_batch(queued)
    client.fail_batch(failed, "the link broke", max_attempts=1)
    found = shown(client)
    assert {status: (row.batches, row.tasks, row.sends) for status, row in found.items()} == {
        "queued": (1, 10, 1),
        "publishing": (1, 10, 0),
        "failed": (1, 10, 0),
        "pending_queue": (2, 15, 0),
    }
    assert found["pending_queue"].oldest_ready_age == SECOND * 3
    assert found["publishing"].lease_until == leased.lease_until
    assert (found["failed"].publish_attempts, found["failed"].last_error) == (1, "the link broke")
    assert [found["queued"].oldest_ready_age, found["queued"].lease_until] == [None, None]

    client.order("cancel_job", job_id)
    client.work_orders()
    assert shown(client) == {}


def test_what_waits_for_its_next_try_is_not_ready_yet(client: Client) -> None:
    client.stop_clock()
    client.create_stage_tasks(client.create_job(), 1, "h3_hexagon", 5)
    client.release_batch(client.claim(), SECOND * 30)
    assert shown(client)["pending_queue"].oldest_ready_age == -SECOND * 30


def test_the_message_of_a_stages_end_is_no_batch_of_it_when_it_reopens(client: Client) -> None:
    client.set_task_type("work", job_messages=True, on_failure="wait")
    published = client.published_stage(1, "work")
    client.start_all(published.messages, TOKEN)
    client.fail_task(published.task_ids[0], TOKEN, "no", retry=False)
    assert client.count("job_messages") == 1
    client.order("retry_tasks", published.job_id, 1)
    client.work_orders()
    client.gather_retries()
    assert {status: row.tasks for status, row in shown(client).items()} == {
        "queued": 1,
        "pending_queue": 1,
    }
