"""finish_job and stage_results: the end of a job without a plan, and what it brought home."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from tests.client import Client


def fail_one(client: Client, job_id: UUID) -> None:
    """Runs stage 1 of two tasks, of which one is lost for good."""
    client.set_task_type("once", max_attempts=1, timeout="1 minute")
    published = client.published_stage(tasks=2, task_type="once", job_id=job_id)
    token = uuid4()
    client.stop_clock()
    client.start_all(published.messages, token)
    client.complete_task(published.task_ids[0], token)
    client.advance(timedelta(minutes=5))
    assert client.end_lost_attempts() == 1


def test_a_job_whose_stages_completed_is_completed(client: Client) -> None:
    published = client.published_stage(tasks=2)
    client.run_stage(published)
    now = client.stop_clock()
    assert client.finish_job(published.job_id) == "completed"
    job = client.job(published.job_id)
    assert (job.status, job.ended_at) == ("completed", now)
    assert client.due_advances() == []


def test_a_job_without_stages_is_completed(client: Client) -> None:
    job_id = client.create_job()
    now = client.stop_clock()
    assert client.finish_job(job_id) == "completed"
    job = client.job(job_id)
    assert (job.status, job.started_at, job.ended_at) == ("completed", now, now)


def test_a_failed_task_makes_it_completed_with_errors(client: Client) -> None:
    job_id = client.create_job()
    fail_one(client, job_id)
    assert client.stage(job_id).status == "completed_with_errors"
    assert client.finish_job(job_id) == "completed_with_errors"


def test_a_failed_stage_that_nobody_mended_makes_it_failed(client: Client) -> None:
    client.set_task_type("work", tolerated_failures="0", on_failure="wait")
    published = client.published_stage(1, "work")
    client.start_all(published.messages, published.job_id)
    client.fail_task(published.task_ids[0], published.job_id, retry=False)
    assert client.job(published.job_id).status == "running"
    assert client.finish_job(published.job_id) == "failed"


def test_a_second_call_changes_nothing(client: Client) -> None:
    job_id = client.create_job()
    client.finish_job(job_id)
    before = client.contents()
    client.advance(timedelta(hours=1))
    assert client.finish_job(job_id) == "completed"
    client.execute("delete from stagebus_data.test_clock")
    assert client.contents() == before


def test_an_unknown_job_is_refused(client: Client) -> None:
    for job_id in (uuid4(), None):
        with client.refused("SB101"):
            client.finish_job(job_id)


@pytest.mark.parametrize("seal", [True, False])
def test_a_stage_that_has_not_ended_is_in_the_way(client: Client, seal: bool) -> None:
    job_id = client.create_job()
    client.create_stage_tasks(job_id, seal=seal)
    with client.refused("SB113") as caught:
        client.finish_job(job_id)
    assert ("seal_stage" in str(caught.value.diag.message_hint)) is not seal


def test_the_results_of_a_stage_stand_in_order(client: Client) -> None:
    published = client.published_stage(tasks=4)
    token = uuid4()
    client.start_all(published.messages, token)
    third, first, last = (published.task_ids[i] for i in (2, 0, 3))
    client.complete_tasks([third, first], token, [{"n": 3}, [1]])
    client.complete_task(last, token)
    assert client.stage_results(published.job_id) == [(1, [1]), (3, {"n": 3}), (4, None)]
    assert client.stage_results(published.job_id, 2) == []
