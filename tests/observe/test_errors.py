"""`dead_tasks` and `recent_errors` show what failed last, and do not read what did not fail."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from tests.client import Client
from tests.plans.functions import create_function

TOKEN = UUID(int=1)


def errors(client: Client) -> list[Any]:
    return client.rows("select * from stagebus.recent_errors")


def test_a_dead_task_says_what_killed_it(client: Client) -> None:
    client.stop_clock()
    published = client.published_stage(3, "h3_hexagon")
    client.start_all(published.messages, TOKEN)
    for task_id in published.task_ids[:2]:
        client.fail_task(task_id, TOKEN, f"no {task_id}", retry=False)
        client.advance(timedelta(seconds=1))
    rows = client.rows("select * from stagebus.dead_tasks")
    assert [(row.task_id, row.attempts, row.error) for row in rows] == [
        (task_id, 1, f"no {task_id}") for task_id in reversed(published.task_ids[:2])
    ]
    client.order("retry_tasks", published.job_id, 1)
    client.work_orders()
    assert client.rows("select * from stagebus.dead_tasks") == []


def test_each_kind_of_error_is_there_and_the_newest_comes_first(client: Client) -> None:
    client.stop_clock()
    client.set_task_type("work", batch_size=1)
    job_id = client.create_job()
    client.create_stage_tasks(job_id, 1, "work", 3)
    first, second, third = client.claim_batches(3)
    client.record_send(first, 1, 1, "rejected", "too large")
    client.advance(timedelta(seconds=1))
    client.fail_batch(second, "the link broke", max_attempts=1)
    client.advance(timedelta(seconds=1))
    (message,) = client.batch_messages(third)
    client.finish_batch(third)
    client.start(message, TOKEN)
    client.fail_task(message.task_id, TOKEN, "out of luck", retry=False)
    order = client.order("cancel_stage", job_id, 1)
    client.execute("select stagebus.fail_order_step(%s, 'a deadlock')", order.order_id)
    client.advance(timedelta(seconds=1))
    client.execute("create schema gis")
    client.execute("grant usage on schema gis to stagebus_nobody")
    tiles = create_function(client, "gis.tiles", "raise 'no such table';")
    client.define_job_type([{"name": "a", "task_type": "work", "tasks": tiles}])
    client.advance_job(client.submit_job())
    found = [(row.kind, row.error) for row in errors(client)]
    assert (found[0][0], "no such table" in found[0][1]) == ("advance", True)
    assert sorted(found[1:3]) == [("order", "a deadlock"), ("task", "out of luck")]
    assert [kind for kind, _ in found[3:]] == ["batch", "send"]
    assert "the link broke" in found[3][1]
    assert found[4] == ("send", "too large")


def test_no_more_than_the_last_hundred_of_a_kind_are_shown(client: Client) -> None:
    published = client.published_stage(150, "h3_hexagon")
    client.start_all(published.messages, TOKEN)
    client.fail_tasks(published.task_ids, TOKEN, ["no"] * 150, retry=False)
    assert len(errors(client)) == 100


def test_a_task_that_waits_for_its_next_attempt_says_what_went_wrong(client: Client) -> None:
    now = client.stop_clock()
    client.set_task_type("work", retry_delay="1 minute")
    published = client.published_stage(3, "work")
    client.start_all(published.messages, TOKEN)
    client.fail_tasks(published.task_ids[:2], TOKEN, ["no luck", "no input"])
    rows = client.rows("select * from retrying_tasks where job_id = %s", published.job_id)
    assert [(row.task_id, row.error) for row in rows] == [
        (published.task_ids[0], "no luck"),
        (published.task_ids[1], "no input"),
    ]
    assert all(now < row.retry_at <= now + timedelta(minutes=1) for row in rows)
    client.advance(timedelta(minutes=1))
    client.gather_retries()
    assert client.rows("select * from retrying_tasks") == []
