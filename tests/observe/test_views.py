"""The views show what the tables hold, in the words of the glossary."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from tests.client import Client, PublishedStage

TOKEN, OTHER = UUID(int=1), UUID(int=2)
STATES = (
    "pending_queue",
    "queued",
    "processing",
    "retry_wait",
    "completed",
    "failed",
    "cancelled",
)


def shown(client: Client, job_id: UUID) -> dict[str, int]:
    """The counts of job_progress that are not zero."""
    row = client.progress(job_id)
    return {state: getattr(row, state) for state in STATES if getattr(row, state)}


def test_a_task_shows_the_state_of_its_batch_until_a_worker_starts_it(client: Client) -> None:
    client.set_task_type("work", batch_size=2)
    client.stop_clock()
    job_id = client.create_job()
    client.create_stage_tasks(job_id, 1, "work", 5)
    assert client.task_states(job_id) == {"pending_queue": 5}
    first = client.claim()
    assert client.task_states(job_id) == {"pending_queue": 5}
    messages = client.batch_messages(first)
    client.finish_batch(first)
    assert client.task_states(job_id) == {"queued": 2, "pending_queue": 3}
    task = client.task(f"{job_id}-s1-2")
    assert (task.task_id, task.task_type) == (f"{job_id}-s1-2", "work")
    assert (task.batch_id, task.batch_queued_at) == (first.batch_id, client.now())
    assert client.task(f"{job_id}-s1-3").batch_queued_at is None
    client.start(messages[0], TOKEN)
    assert client.task_states(job_id) == {"processing": 1, "queued": 1, "pending_queue": 3}


@pytest.mark.parametrize("state", ["held", "failed", "cancelled"])
def test_the_tasks_of_a_batch_that_stands_still_are_pending(client: Client, state: str) -> None:
    job_id = client.create_job()
    client.create_stage_tasks(job_id, task_count=3)
    client.execute("update stagebus_data.batches set state = %s", state)
    assert client.task_states(job_id) == {"pending_queue": 3}
    assert [row.status for row in client.rows("select status from stagebus.batches")] == [state]


def test_progress_agrees_with_the_tasks_through_a_stages_life(client: Client) -> None:
    client.set_task_type("work", batch_size=10, timeout="1 minute", max_attempts=2)
    client.stop_clock()
    job_id = client.create_job()

    def agrees(expected: dict[str, int]) -> None:
        assert shown(client, job_id) == client.task_states(job_id) == expected

    client.create_stage_tasks(job_id, 1, "work", 40, seal=False)
    agrees({"pending_queue": 40})
    client.seal_stage(job_id)
    agrees({"pending_queue": 40})
    claims = client.claim_batches(3)
    agrees({"pending_queue": 40})
    messages = []
    for claim in claims:
        messages += client.batch_messages(claim)
        client.finish_batch(claim)
    agrees({"queued": 30, "pending_queue": 10})
    client.start_all(messages[:12], TOKEN)
    agrees({"processing": 12, "queued": 18, "pending_queue": 10})
    client.complete_tasks([message.task_id for message in messages[:5]], TOKEN)
    agrees({"completed": 5, "processing": 7, "queued": 18, "pending_queue": 10})
    client.advance(timedelta(minutes=2))
    client.end_lost_attempts()
    agrees({"completed": 5, "retry_wait": 7, "queued": 18, "pending_queue": 10})
    client.gather_retries(4)
    agrees({"completed": 5, "retry_wait": 3, "queued": 18, "pending_queue": 14})
    second = [message for message in client.publish() if message.attempt == 2]
    agrees({"completed": 5, "retry_wait": 3, "queued": 32})
    client.start_all(second, OTHER)
    agrees({"completed": 5, "retry_wait": 3, "processing": 4, "queued": 28})
    client.advance(timedelta(minutes=2))
    client.end_lost_attempts()
    agrees({"completed": 5, "failed": 4, "retry_wait": 3, "queued": 28})
    assert client.progress(job_id).percent == Decimal("22.5")


def test_progress_counts_all_batches_and_those_that_are_queued(client: Client) -> None:
    client.set_task_type("work", batch_size=2, timeout="1 minute")
    client.stop_clock()
    published = client.published_stage(6, "work")
    client.start(published.messages[0], TOKEN)
    client.advance(timedelta(minutes=2))
    client.end_lost_attempts()
    client.gather_retries()
    progress = client.progress(published.job_id)
    assert (progress.batches, progress.queued_batches) == (4, 3)
    client.publish()
    progress = client.progress(published.job_id)
    assert (progress.batches, progress.queued_batches) == (4, 4)


def test_progress_of_a_cancelled_stage_counts_the_batches_that_went_out(client: Client) -> None:
    client.set_task_type("work", batch_size=2)
    job_id = client.create_job()
    client.create_stage_tasks(job_id, 1, "work", 6)
    client.finish_batch(client.claim())
    client.order("cancel_stage", job_id, 1)
    client.work_orders()
    assert client.stage(job_id).status == "cancelled"
    progress = client.progress(job_id)
    assert (progress.batches, progress.queued_batches) == (3, 1)
    assert shown(client, job_id) == client.task_states(job_id) == {"cancelled": 6}


def test_progress_of_a_stage_that_was_retried_counts_all_its_batches(client: Client) -> None:
    published = client.published_stage(2)
    client.end_stage_of(published.job_id, 1, failing=1)
    client.order("retry_tasks", published.job_id, 1)
    client.work_orders()
    client.maintain()
    progress = client.progress(published.job_id)
    assert (progress.batches, progress.queued_batches) == (2, 1)
    assert shown(client, published.job_id) == {"completed": 1, "pending_queue": 1}
    client.run_stage(PublishedStage(published.job_id, 1, client.publish()))
    progress = client.progress(published.job_id)
    assert (progress.batches, progress.queued_batches) == (2, 2)
    assert shown(client, published.job_id) == {"completed": 2}


def test_progress_is_read_from_counters_in_every_part_of_the_tree(client: Client) -> None:
    published = client.published_stage(tasks=4100)
    ids = published.task_ids
    client.start_all(published.messages, TOKEN)
    done = 0
    # Within a slot, a whole slot, a whole group, the stage.
    for some in (ids[:1], ids[64:4096:64], ids[1:4096], ids[4096:]):
        verdicts = client.complete_tasks(some, TOKEN)
        assert set(verdicts) == {"completed"}
        done = client.task_states(published.job_id)["completed"]
        assert shown(client, published.job_id).get("completed") == done
    assert done == 4100
    assert client.progress(published.job_id).percent == 100


def test_an_empty_stage_has_no_percentage(client: Client) -> None:
    job_id = client.create_job()
    client.create_stage_tasks_from_array(job_id, 1, "h3_hexagon", [])
    progress = client.progress(job_id)
    assert (progress.tasks, progress.percent, progress.stage_status) == (0, None, "completed")


def test_a_stage_shows_what_it_was_made_of(client: Client) -> None:
    now = client.stop_clock()
    job_id = client.create_job()
    client.create_stage_tasks(job_id, 1, "process_raster", 250, {"zoom": 5}, seal=False)
    stage = client.stage(job_id)
    assert (stage.status, stage.sealed_at, stage.created_at) == ("filling", None, now)
    later = client.advance(timedelta(minutes=1))
    summary = client.seal_stage(job_id)
    stage = client.stage(job_id)
    assert (stage.status, stage.sealed_at, stage.ended_at) == ("open", later, None)
    assert (stage.task_type, stage.destination) == ("process_raster", "tasks")
    assert (stage.tasks, stage.batches, stage.bytes) == (250, 3, summary.bytes)
    assert stage.parameters == {"zoom": 5}


def test_a_batch_shows_its_claim_and_its_sends(client: Client) -> None:
    client.stop_clock()
    job_id = client.create_job()
    client.create_stage_tasks(job_id, task_count=10)
    claim = client.claim()
    client.record_send(claim, 1, 4)
    (batch,) = client.rows("select * from stagebus.batches where job_id = %s", job_id)
    assert (batch.status, batch.claimed_by, batch.claim_epoch) == (
        "publishing",
        client.bridge_id,
        1,
    )
    assert (batch.tasks, batch.published_through, batch.sends) == (10, 4, 1)
    (send,) = client.rows("select * from stagebus.sends where job_id = %s", job_id)
    assert (send.stage, send.batch_id, send.outcome) == (1, claim.batch_id, "accepted")


def test_a_failed_task_shows_its_error(client: Client) -> None:
    client.set_task_type("once", max_attempts=1)
    client.stop_clock()
    published = client.published_stage(1, "once")
    client.start(published.messages[0], TOKEN, worker="worker 7")
    client.advance(timedelta(hours=1))
    client.end_lost_attempts()
    task = client.task(published.task_ids[0])
    assert (task.status, task.worker) == ("failed", None)
    assert task.error == "the worker of attempt 1 was lost"


def test_the_views_are_found_without_their_schema(client: Client) -> None:
    client.published_stage()
    for view in ("jobs", "stages", "batches", "tasks", "sends", "job_progress"):
        assert client.value(f"select count(*) from {view}") == 1


def test_ones_own_table_of_the_same_name_is_not_hidden(client: Client) -> None:
    client.execute("create table public.jobs as select 'mine' as whose")
    rows: list[Any] = client.rows("select * from jobs")
    assert rows == [("mine",)]
