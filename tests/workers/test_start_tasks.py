"""start_tasks: may I? Every verdict, and what it leaves behind."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.client import Client, Message, PublishedStage

MINUTES_15 = timedelta(minutes=15)
TOKEN, OTHER = UUID(int=1), UUID(int=2)


@pytest.fixture
def published(client: Client) -> PublishedStage:
    """A stage of three tasks, published; the clock stands still."""
    client.stop_clock()
    return client.published_stage(tasks=3, parameters={"zoom": 5})


@pytest.fixture
def message(published: PublishedStage) -> Message:
    return published.messages[1]


def running(client: Client) -> list[Any]:
    return client.rows("select * from stagebus_data.running_attempts order by task_index")


def lose(client: Client, message: Message) -> None:
    """The task's running attempt is lost; it waits for its next one."""
    client.advance(timedelta(hours=1))
    assert client.end_lost_attempts() == 1
    assert client.task(message.task_id).status == "retry_wait"


def test_run_gives_the_parameters_and_a_lease(client: Client, message: Message) -> None:
    now = client.now()
    started = client.start(message, TOKEN, worker="worker 7")
    assert (started.task_id, started.verdict) == (message.task_id, "run")
    assert started.parameters == {"zoom": 5, "index": 2} == message.content["parameters"]
    assert (started.lease_until, started.ask_again_after) == (now + MINUTES_15, None)
    task = client.task(message.task_id)
    assert (task.status, task.attempt, task.worker) == ("processing", 1, "worker 7")
    assert (task.started_at, task.lease_until) == (now, now + MINUTES_15)


def test_the_lease_is_the_task_types_timeout(client: Client, message: Message) -> None:
    client.set_task_type("h3_hexagon", timeout="90 seconds")
    assert client.start(message, TOKEN).lease_until == client.now() + timedelta(seconds=90)


def test_the_same_token_again_runs_again(client: Client, message: Message) -> None:
    first = client.start(message, TOKEN)
    client.advance(timedelta(minutes=1))
    again = client.start(message, TOKEN)
    assert (again.verdict, again.parameters) == ("run", first.parameters)
    assert again.lease_until == client.now() + MINUTES_15
    assert len(running(client)) == 1


def test_another_token_finds_it_taken(client: Client, message: Message) -> None:
    client.start(message, TOKEN)
    before = client.contents()
    started = client.start(message, OTHER)
    assert (started.verdict, started.parameters, started.lease_until) == ("taken", None, None)
    assert client.contents() == before


def test_another_token_takes_over_once_the_lease_has_run_out(
    client: Client, message: Message
) -> None:
    client.start(message, TOKEN, worker="first")
    client.advance(MINUTES_15)
    assert client.start(message, OTHER).verdict == "taken"
    client.advance(timedelta(milliseconds=1))
    assert client.start(message, OTHER, worker="second").verdict == "run"
    (attempt,) = running(client)
    assert (attempt.worker, attempt.attempt) == ("second", 1)
    assert attempt.lease_until == client.now() + MINUTES_15
    assert client.start(message, TOKEN).verdict == "taken"
    assert client.complete_task(message.task_id, TOKEN) == "taken"
    assert client.complete_task(message.task_id, OTHER) == "completed"
    assert client.complete_task(message.task_id, TOKEN) == "done"


def test_an_ended_task_is_done(client: Client, message: Message) -> None:
    client.start(message, TOKEN)
    client.complete_task(message.task_id, TOKEN)
    before = client.contents()
    for token in (TOKEN, OTHER):
        assert client.start(message, token).verdict == "done"
    assert client.contents() == before


def test_a_failed_task_is_done(client: Client, message: Message) -> None:
    client.set_task_type("h3_hexagon", max_attempts=1)
    client.start(message, TOKEN)
    client.advance(timedelta(hours=1))
    client.end_lost_attempts()
    assert client.task(message.task_id).status == "failed"
    assert client.start(message, OTHER).verdict == "done"


def test_a_cancelled_task_is_cancelled(client: Client, message: Message) -> None:
    client.execute("update stagebus_data.tasks set state = 'cancelled' where task_index = 2")
    assert client.start(message, TOKEN).verdict == "cancelled"


def test_an_old_attempt_is_stale(client: Client, message: Message) -> None:
    client.start(message, TOKEN)
    lose(client, message)
    assert client.start(message, TOKEN).verdict == "stale"
    assert client.start(message, OTHER).verdict == "stale"
    client.gather_retries()
    (second,) = client.publish()
    assert client.start(message, OTHER).verdict == "stale"
    assert client.start(second, OTHER).verdict == "run"
    assert client.start(message, TOKEN).verdict == "stale"


def test_the_next_attempt_does_not_start_before_it_was_gathered(
    client: Client, message: Message
) -> None:
    client.start(message, TOKEN)
    lose(client, message)
    assert client.start_task(message.task_id, 2, message.nonce, OTHER).verdict == "stale"


def test_what_the_database_does_not_know_is_a_ghost(client: Client, message: Message) -> None:
    before = client.contents()
    task_id, nonce = message.task_id, message.nonce
    for asked in (
        (task_id.replace("-s1-2", "-s1-4"), 1, nonce),
        (task_id.replace("-s1-", "-s2-"), 1, nonce),
        (f"{uuid4()}-s1-1", 1, nonce),
        ("no id at all", 1, nonce),
        (None, 1, nonce),
        (task_id, 2, nonce),
        (task_id, None, nonce),
        (task_id, 1, "0123456789"),
        (task_id, 1, None),
    ):
        assert client.start_task(*asked, TOKEN).verdict == "ghost", asked
    assert client.contents() == before


def test_a_message_of_a_rolled_back_stage_is_a_ghost_of_the_next(client: Client) -> None:
    job_id = client.create_job()
    with client.transaction(roll_back=True):
        client.create_stage_tasks(job_id)
        (lost,) = client.publish()
    assert client.start(lost, TOKEN).verdict == "ghost"
    client.create_stage_tasks(job_id)
    assert client.start(lost, TOKEN).verdict == "ghost"


def test_a_provisional_stage_waits(client: Client, message: Message) -> None:
    client.execute("update stagebus_data.stages set state = 'provisional', confirm_by = now()")
    before = client.contents()
    started = client.start(message, TOKEN)
    assert (started.verdict, started.parameters) == ("wait", None)
    assert started.ask_again_after == timedelta(seconds=1)
    assert client.contents() == before
    client.execute("update stagebus_data.stages set state = 'open'")
    assert client.start(message, TOKEN).verdict == "run"


def test_a_filling_stage_cannot_be_started(client: Client) -> None:
    job_id = client.create_job()
    client.create_stage_tasks(job_id, seal=False)
    nonce = client.stage_row(job_id).nonce
    assert client.start_task(f"{job_id}-s1-1", 1, nonce, TOKEN).verdict == "ghost"


def test_a_task_may_start_before_its_batch_is_recorded_as_queued(client: Client) -> None:
    client.create_stage_tasks(client.create_job())
    claim = client.claim()
    (message,) = client.batch_messages(claim)
    assert client.start(message, TOKEN).verdict == "run"
    assert client.complete_task(message.task_id, TOKEN) == "completed"
    assert client.finish_batch(claim)
    assert client.task(message.task_id).status == "completed"


def test_many_at_once_are_answered_in_their_order(
    client: Client, published: PublishedStage
) -> None:
    first, second, third = published.messages
    client.start(second, OTHER)
    asked = [third.task_id, "nothing", second.task_id, first.task_id, third.task_id]
    started = client.start_tasks(asked, [1] * 5, [first.nonce] * 5, TOKEN)
    assert [answer.task_id for answer in started] == asked
    assert [answer.verdict for answer in started] == ["run", "ghost", "taken", "run", "run"]
    assert [attempt.task_index for attempt in running(client)] == [1, 2, 3]


def test_many_of_several_jobs_and_stages(client: Client) -> None:
    stages = [client.published_stage(tasks=3) for _ in range(3)]
    client.run_stage(stages[0])
    stages.append(client.published_stage(tasks=2, job_id=stages[0].job_id, stage=2))
    messages = [message for stage in reversed(stages) for message in stage.messages]
    assert client.start_all(messages, TOKEN) == ["run"] * 8 + ["done"] * 3


def test_nothing_asked_is_nothing_answered(client: Client) -> None:
    assert client.start_tasks([], [], [], TOKEN) == []


def test_arguments_fit_together(client: Client, message: Message) -> None:
    task_id, nonce = message.task_id, message.nonce
    for ids, attempts, nonces, token in (
        ([task_id], [1], [nonce], None),
        ([task_id], [], [nonce], TOKEN),
        ([task_id], [1, 1], [nonce], TOKEN),
        ([task_id], [1], [], TOKEN),
        ([task_id], None, [nonce], TOKEN),
        ([task_id], [1], None, TOKEN),
        (None, [1], [nonce], TOKEN),
    ):
        with client.refused("SB116"):
            client.start_tasks(ids, attempts, nonces, token)


def test_a_heartbeat_extends_the_lease(client: Client, message: Message) -> None:
    client.start(message, TOKEN)
    now = client.advance(timedelta(minutes=14))
    assert client.heartbeat_task(message.task_id, TOKEN) == now + MINUTES_15
    client.advance(timedelta(minutes=14))
    assert client.start(message, OTHER).verdict == "taken"


def test_a_heartbeat_of_a_task_that_is_no_longer_ones_own_is_null(
    client: Client, published: PublishedStage
) -> None:
    first, second, third = published.messages
    client.start_all([first, second], TOKEN)
    client.complete_task(second.task_id, TOKEN)
    before = client.contents()
    assert client.heartbeat_task(first.task_id, OTHER) is None
    assert client.heartbeat_task(second.task_id, TOKEN) is None
    assert client.heartbeat_task(third.task_id, TOKEN) is None
    assert client.heartbeat_task("nothing", TOKEN) is None
    assert client.contents() == before
    lease = client.now() + MINUTES_15
    ids = [third.task_id, first.task_id, first.task_id]
    assert client.heartbeat_tasks(ids, TOKEN) == list(zip(ids, [None, lease, lease], strict=True))


def test_a_heartbeat_saves_an_attempt_whose_lease_had_run_out(
    client: Client, message: Message
) -> None:
    client.start(message, TOKEN)
    client.advance(timedelta(hours=1))
    assert client.heartbeat_task(message.task_id, TOKEN) is not None
    assert client.end_lost_attempts() == 0
    assert client.complete_task(message.task_id, TOKEN) == "completed"
