"""Two sessions on one task, or on the last tasks of a stage, in every order that matters."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.client import Client, Listener, Message, PublishedStage

TOKEN, OTHER = UUID(int=1), UUID(int=2)
HOUR = timedelta(hours=1)
MINUTES_15 = timedelta(minutes=15)


@pytest.fixture
def other(client: Client) -> Client:
    return client.session()


@pytest.fixture
def published(client: Client) -> PublishedStage:
    client.stop_clock()
    return client.published_stage(tasks=2)


@pytest.fixture
def message(published: PublishedStage) -> Message:
    return published.messages[0]


@pytest.mark.parametrize("rolled_back", [False, True])
def test_two_starts_give_one_run(
    client: Client, other: Client, message: Message, rolled_back: bool
) -> None:
    with client.transaction(roll_back=rolled_back):
        assert client.start(message, TOKEN).verdict == "run"
        second = other.in_background(lambda: other.start(message, OTHER))
        client.wait_until_blocked(other, second)
    assert second.result().verdict == ("run" if rolled_back else "taken")


def test_two_takeovers_give_one_run(client: Client, other: Client, message: Message) -> None:
    client.start(message, UUID(int=9))
    client.advance(HOUR)
    with client.transaction():
        assert client.start(message, TOKEN).verdict == "run"
        second = other.in_background(lambda: other.start(message, OTHER))
        client.wait_until_blocked(other, second)
    assert second.result().verdict == "taken"


def test_a_completion_before_a_takeover_counts(
    client: Client, other: Client, message: Message
) -> None:
    client.start(message, TOKEN)
    client.advance(HOUR)
    with client.transaction():
        assert client.complete_task(message.task_id, TOKEN) == "completed"
        takeover = other.in_background(lambda: other.start(message, OTHER))
        client.wait_until_blocked(other, takeover)
    assert takeover.result().verdict == "done"


def test_a_completion_after_a_takeover_does_not(
    client: Client, other: Client, message: Message
) -> None:
    client.start(message, TOKEN)
    client.advance(HOUR)
    with client.transaction():
        assert client.start(message, OTHER).verdict == "run"
        completion = other.in_background(lambda: other.complete_task(message.task_id, TOKEN))
        client.wait_until_blocked(other, completion)
    assert completion.result() == "taken"
    assert client.task(message.task_id).status == "processing"


@pytest.mark.parametrize("call", ["complete", "fail", "heartbeat"])
def test_whatever_comes_after_a_takeover_is_too_late(
    client: Client, other: Client, message: Message, call: str
) -> None:
    client.start(message, TOKEN)
    client.advance(HOUR)
    ids = [message.task_id]
    calls: dict[str, Callable[[], Any]] = {
        "complete": lambda: other.complete_tasks(ids, TOKEN),
        "fail": lambda: [failed.verdict for failed in other.fail_tasks(ids, TOKEN, ["late"])],
        "heartbeat": lambda: [until for _, until in other.heartbeat_tasks(ids, TOKEN)],
    }
    with client.transaction():
        assert client.start(message, OTHER).verdict == "run"
        late = other.in_background(calls[call])
        client.wait_until_blocked(other, late)
    assert late.result() == [None if call == "heartbeat" else "taken"]
    task = client.task(message.task_id)
    assert (task.status, task.attempt) == ("processing", 1)
    assert task.lease_until == client.now() + MINUTES_15
    assert client.complete_task(message.task_id, OTHER) == "completed"


def test_a_sweep_passes_over_a_task_that_is_taken_over(
    client: Client, other: Client, message: Message
) -> None:
    client.start(message, TOKEN)
    client.advance(HOUR)
    with client.transaction():
        assert client.start(message, OTHER).verdict == "run"
        assert other.end_lost_attempts() == 0
    assert other.end_lost_attempts() == 0
    assert client.complete_task(message.task_id, OTHER) == "completed"


def test_a_sweep_passes_over_a_task_that_is_completed(
    client: Client, other: Client, message: Message
) -> None:
    client.start(message, TOKEN)
    client.advance(HOUR)
    with client.transaction():
        assert client.complete_task(message.task_id, TOKEN) == "completed"
        assert other.end_lost_attempts() == 0
    assert other.end_lost_attempts() == 0
    assert (
        client.progress(client.job(client.value("select job_id from jobs")).job_id).completed == 1
    )


@pytest.mark.parametrize("call", ["start", "heartbeat", "complete"])
def test_a_worker_that_comes_during_the_sweep_is_too_late(
    client: Client, other: Client, message: Message, call: str
) -> None:
    client.start(message, TOKEN)
    client.advance(HOUR)
    calls = {
        "start": lambda: other.start(message, TOKEN).verdict,
        "heartbeat": lambda: other.heartbeat_task(message.task_id, TOKEN),
        "complete": lambda: other.complete_task(message.task_id, TOKEN),
    }
    with client.transaction():
        assert client.end_lost_attempts() == 1
        late = other.in_background(calls[call])
        client.wait_until_blocked(other, late)
    assert late.result() == {"start": "stale", "heartbeat": None, "complete": "stale"}[call]
    assert client.task(message.task_id).status == "retry_wait"


def test_a_worker_that_shows_itself_during_the_sweep_keeps_its_attempt(
    client: Client, other: Client
) -> None:
    """The sweep has seen the old lease of the last task, and has not come to it yet."""
    published = client.published_stage(tasks=100)
    client.start_all(published.messages, TOKEN)
    client.advance(HOUR)
    with client.transaction():
        client.execute("select from stagebus_data.running_attempts where task_index = 1 for update")
        sweep = other.in_background(other.end_lost_attempts)
        client.wait_until_blocked(other, sweep)
        assert client.session().heartbeat_task(published.task_ids[-1], TOKEN) is not None
    assert sweep.result() == 99
    assert client.complete_task(published.task_ids[-1], TOKEN) == "completed"


@pytest.mark.parametrize("call", ["start", "heartbeat", "complete"])
def test_tasks_are_locked_in_key_order(
    client: Client, other: Client, published: PublishedStage, call: str
) -> None:
    """Waiting for the first, a call that names it last does not hold the second."""
    client.start_all(published.messages, TOKEN)
    backwards = published.messages[::-1]
    ids = [message.task_id for message in backwards]
    calls = {
        "start": lambda: other.start_all(backwards, TOKEN),
        "heartbeat": lambda: other.heartbeat_tasks(ids, TOKEN),
        "complete": lambda: other.complete_tasks(ids, TOKEN),
    }
    with client.transaction():
        client.execute("select from stagebus_data.tasks where task_index = 1 for update")
        waiting = other.in_background(calls[call])
        client.wait_until_blocked(other, waiting)
        free = client.column(
            "select task_index from stagebus_data.tasks where task_index = 2 for update skip locked"
        )
    assert free == [2]
    assert len(waiting.result()) == 2


def test_two_sweeps_end_an_attempt_once(client: Client, other: Client, message: Message) -> None:
    client.start(message, TOKEN)
    client.advance(HOUR)
    with client.transaction():
        assert client.end_lost_attempts() == 1
        assert other.end_lost_attempts() == 0
    with client.transaction():
        assert client.gather_retries() == 1
        assert other.gather_retries() == 0
    assert other.gather_retries() == 0
    assert client.count("batch_members") == 1


def test_two_last_completions_end_the_stage_once(
    client: Client, other: Client, published: PublishedStage
) -> None:
    listener = Listener(client, "stagebus_jobs")
    client.start_all(published.messages, TOKEN)
    first, last = published.task_ids
    with client.transaction():
        assert client.complete_task(first, TOKEN) == "completed"
        second = other.in_background(lambda: other.complete_task(last, TOKEN))
        # They count in different slots of one group, and meet there.
        client.wait_until_blocked(other, second)
        assert client.stage(published.job_id).status == "open"
    assert second.result() == "completed"
    assert client.stage(published.job_id).status == "completed"
    assert client.due_advances() == [(published.job_id, 1)]
    assert listener.heard() == [("stagebus_jobs", str(published.job_id))]


def test_the_stage_stays_open_when_one_of_the_last_completions_is_rolled_back(
    client: Client, other: Client, published: PublishedStage
) -> None:
    client.start_all(published.messages, TOKEN)
    first, last = published.task_ids
    with client.transaction(roll_back=True):
        client.complete_task(first, TOKEN)
        second = other.in_background(lambda: other.complete_task(last, TOKEN))
        client.wait_until_blocked(other, second)
    assert second.result() == "completed"
    assert client.stage(published.job_id).status == "open"
    assert client.complete_task(first, TOKEN) == "completed"
    assert client.stage(published.job_id).status == "completed"


def test_two_last_stages_end_a_cancelled_job(client: Client, other: Client) -> None:
    """The first stage is being repaired while the second one runs."""
    repaired = client.published_stage()
    client.start_all(repaired.messages, TOKEN)
    client.fail_task(repaired.task_ids[0], TOKEN, retry=False)
    second = client.published_stage(job_id=repaired.job_id, stage=2)
    client.order("retry_tasks", repaired.job_id, 1)
    client.work_orders()
    client.gather_retries()
    client.start_all([*client.publish(), *second.messages], TOKEN)
    client.order("cancel_job", repaired.job_id)
    with client.transaction():
        assert client.complete_task(repaired.task_ids[0], TOKEN) == "completed"
        last = other.in_background(lambda: other.complete_task(second.task_ids[0], TOKEN))
        client.wait_until_blocked(other, last)
    assert last.result() == "completed"
    assert client.job(repaired.job_id).status == "cancelled"


def test_calls_with_the_same_tasks_in_any_order_do_not_deadlock(
    client: Client, other: Client
) -> None:
    published = client.published_stage(tasks=200)
    client.start_all(published.messages, TOKEN)
    ids = published.task_ids
    backwards = other.in_background(
        lambda: [other.complete_tasks(ids[n : n + 50][::-1], TOKEN) for n in range(0, 200, 10)]
    )
    forwards = [client.complete_tasks(ids[n : n + 50], TOKEN) for n in range(0, 200, 10)]
    for verdicts in (*forwards, *backwards.result()):
        assert set(verdicts) == {"completed"}
    assert client.stage(published.job_id).status == "completed"
