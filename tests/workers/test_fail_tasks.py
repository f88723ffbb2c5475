"""fail_tasks: the end of attempts, what follows, and every answer that changes nothing."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from tests.client import Client, PublishedStage

TOKEN, OTHER = UUID(int=1), UUID(int=2)


@pytest.fixture
def published(client: Client) -> PublishedStage:
    client.stop_clock()
    client.set_task_type(
        "work", max_attempts=3, retry_delay="8 seconds", max_retry_delay="12 seconds"
    )
    published = client.published_stage(4, "work")
    client.start_all(published.messages[:3], TOKEN)
    return published


def test_a_failed_attempt_waits_for_the_next_with_its_error(
    client: Client, published: PublishedStage
) -> None:
    first = published.task_ids[0]
    (failed,) = client.fail_tasks([first], TOKEN, ["no luck"])
    assert failed.verdict == "retry_wait"
    task = client.task(first)
    assert (task.status, task.attempt, task.error) == ("retry_wait", 2, "no luck")
    assert (task.retry_at, task.lease_until) == (failed.retry_at, None)
    assert client.recount(published.job_id) == []


def test_the_delay_doubles_up_to_its_cap_and_is_between_half_of_it_and_the_whole(
    client: Client, published: PublishedStage
) -> None:
    for attempt, whole in ((1, 8), (2, 12)):
        now = client.now()
        delays = set()
        for failed in client.fail_tasks(published.task_ids[:3], TOKEN, ["why"] * 3):
            assert failed.retry_at is not None
            delays.add((failed.retry_at - now).total_seconds())
        assert all(whole / 2 <= delay <= whole for delay in delays), (attempt, delays)
        assert len(delays) == 3, "tasks that failed together come back apart"
        client.advance(timedelta(seconds=whole))
        client.maintain()
        client.start_all(client.publish(), TOKEN)


def test_a_long_delay_that_would_be_doubled_often_is_capped(
    client: Client, published: PublishedStage
) -> None:
    day = timedelta(days=1)
    client.set_task_type(
        "work", max_attempts=60, retry_delay="24 hours", max_retry_delay="24 hours"
    )
    client.execute("update stagebus_data.tasks set attempt = 40")
    (failed,) = client.fail_tasks(published.task_ids[:1], TOKEN, ["why"])
    assert failed.retry_at is not None
    assert day / 2 <= failed.retry_at - client.now() <= day


def test_a_retry_is_not_gathered_before_it_is_due(
    client: Client, published: PublishedStage
) -> None:
    client.fail_task(published.task_ids[0], TOKEN)
    client.advance(timedelta(seconds=3.9))
    assert client.gather_retries() == 0
    client.advance(timedelta(seconds=4.2))
    assert client.gather_retries() == 1


def test_without_retry_or_after_the_last_attempt_the_task_has_failed(
    client: Client, published: PublishedStage
) -> None:
    first, second, _, fourth = published.task_ids
    assert client.fail_task(first, TOKEN, retry=False) == "failed"
    for attempt in (1, 2, 3):
        verdict = client.fail_task(second, TOKEN, f"attempt {attempt}")
        client.advance(timedelta(minutes=1))
        client.maintain()
        client.start_all(client.publish(), TOKEN)
    assert verdict == "failed"
    task = client.task(second)
    assert (task.status, task.attempt, task.error) == ("failed", 3, "attempt 3")
    client.complete_tasks(published.task_ids, TOKEN)
    client.start(published.messages[3], TOKEN)
    client.complete_task(fourth, TOKEN)
    row = client.stage_row(published.job_id)
    assert (row.state, row.completed, row.failed) == ("completed_with_errors", 2, 2)


def test_a_repeated_failure_is_answered_as_the_first_time(
    client: Client, published: PublishedStage
) -> None:
    first, second = published.task_ids[:2]
    before = client.fail_tasks([first], TOKEN, ["why"])
    client.fail_task(second, TOKEN, retry=False)
    contents = client.contents()
    assert client.fail_tasks([first], TOKEN, ["again"]) == before
    assert client.fail_task(second, TOKEN, "again") == "failed"
    assert client.contents() == contents


def test_what_is_not_the_tokens_changes_nothing_and_says_why(
    client: Client, published: PublishedStage
) -> None:
    completed, failed, running, unstarted = published.task_ids
    client.complete_task(completed, TOKEN)
    client.fail_task(failed, TOKEN, retry=False)
    contents = client.contents()
    ghost = f"{published.job_id}-s1-99"
    asked = [completed, failed, running, unstarted, ghost, "no id", None]
    assert [answer.verdict for answer in client.fail_tasks(asked, OTHER, ["why"] * 7)] == [
        "done", "done", "taken", "stale", "ghost", "ghost", "ghost"
    ]  # fmt: skip
    assert client.contents() == contents


def test_a_cancelled_task_says_so(client: Client, published: PublishedStage) -> None:
    client.order("cancel_job", published.job_id)
    client.work_orders()
    assert client.fail_task(published.task_ids[0], TOKEN) == "cancelled"


def test_one_id_twice_fails_once(client: Client, published: PublishedStage) -> None:
    first = published.task_ids[0]
    both = client.fail_tasks([first, first], TOKEN, ["one", "two"])
    assert [answer.verdict for answer in both] == ["retry_wait", "retry_wait"]
    task = client.task(first)
    assert (task.attempt, task.error) == (2, "one")


@pytest.mark.parametrize("errors", [None, [], ["one"], ["one", None]])
def test_errors_that_do_not_fit_are_refused(
    client: Client, published: PublishedStage, errors: list[str | None] | None
) -> None:
    with client.refused("SB116"):
        client.fail_tasks(published.task_ids[:2], TOKEN, errors)


def test_a_long_error_keeps_its_beginning(client: Client, published: PublishedStage) -> None:
    client.fail_task(published.task_ids[0], TOKEN, "ÿ" * 10_000)
    assert client.task(published.task_ids[0]).error == "ÿ" * 8192
