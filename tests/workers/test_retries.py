"""A lost worker: its attempt ends, the task gets its next one, or has failed."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from tests.client import Client, PublishedStage

TOKEN, OTHER = UUID(int=1), UUID(int=2)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def published(client: Client) -> PublishedStage:
    """Ten started tasks with one minute each, two attempts in all; the clock stands still."""
    client.stop_clock()
    client.set_task_type("work", timeout="1 minute", max_attempts=2, batch_size=4)
    stage = client.published_stage(10, "work")
    client.start_all(stage.messages, TOKEN)
    return stage


def test_an_attempt_is_lost_half_a_minute_after_its_lease(
    client: Client, published: PublishedStage
) -> None:
    client.advance(MINUTE + timedelta(seconds=30))
    assert client.end_lost_attempts() == 0
    client.advance(timedelta(milliseconds=1))
    assert client.end_lost_attempts() == 10
    assert client.end_lost_attempts() == 0


def test_what_was_lost_long_ago_is_looked_for_where_everything_is(
    client: Client, published: PublishedStage
) -> None:
    """Attempts that ended may be walked over in each look while a transaction is open."""
    client.execute(
        "update stagebus_data.running_attempts set lease_until = lease_until + interval '2 s'"
        " where task_index > 4"
    )
    client.advance(MINUTE + timedelta(seconds=30) + MINUTE + timedelta(seconds=1))
    look = "select lost_attempts from stagebus.maintain(everything => %s)"
    assert [client.value(look, everything) for everything in (False, False, True)] == [6, 0, 4]


def test_the_task_waits_for_its_next_attempt(client: Client, published: PublishedStage) -> None:
    client.complete_tasks(published.task_ids[1:], TOKEN)
    now = client.advance(MINUTE * 2)
    client.end_lost_attempts()
    task = client.task(published.task_ids[0])
    assert (task.status, task.attempt, task.retry_at) == ("retry_wait", 2, now)
    assert task.error == "the worker of attempt 1 was lost"
    assert client.count("running_attempts") == 0
    assert client.progress(published.job_id).retry_wait == 1


def test_the_next_attempt_goes_out_in_a_scattered_batch_and_runs(
    client: Client, published: PublishedStage
) -> None:
    kept = [published.task_ids[i] for i in (0, 1, 3, 4, 5, 6, 8)]
    client.complete_tasks(kept, TOKEN)
    client.advance(MINUTE * 2)
    client.end_lost_attempts()
    assert client.gather_retries() == 3
    assert client.count("waiting_retries") == 0
    batch = client.batches(published.job_id)[-1]
    assert (batch.scattered, batch.task_count) == (True, 3)
    assert (batch.first_index, batch.last_index, batch.published_through) == (3, 10, 2)
    assert (batch.state, batch.dispatch) == ("pending_queue", 1)
    for index in (3, 8, 10):
        task = client.task(f"{published.job_id}-s1-{index}")
        assert (task.status, task.batch_id) == ("pending_queue", batch.batch_id)

    messages = client.publish()
    assert [(m.task_index, m.attempt) for m in messages] == [(3, 2), (8, 2), (10, 2)]
    assert client.task(messages[0].task_id).status == "queued"
    assert client.start_all(messages, OTHER) == ["run"] * 3
    assert set(client.complete_tasks([m.task_id for m in messages], OTHER)) == {"completed"}
    assert client.stage(published.job_id).status == "completed"


def test_each_stage_gets_batches_of_its_own_of_its_types_size(
    client: Client, published: PublishedStage
) -> None:
    second = client.published_stage(3, "work")
    client.start_all(second.messages, TOKEN)
    client.advance(MINUTE * 2)
    assert client.end_lost_attempts() == 13
    assert client.gather_retries() == 13
    for stage, sizes in ((published, [2, 4, 4]), (second, [3])):
        scattered = [batch for batch in client.batches(stage.job_id) if batch.scattered]
        assert sorted(batch.task_count for batch in scattered) == sizes


def test_the_last_attempt_fails_the_task(client: Client, published: PublishedStage) -> None:
    client.complete_tasks(published.task_ids[:9], TOKEN)
    for _ in range(2):
        client.advance(MINUTE * 2)
        client.maintain()
        client.maintain()
        client.start_all(client.publish(), OTHER)
    task = client.task(published.task_ids[9])
    assert (task.status, task.attempt) == ("failed", 2)
    assert task.error == "the worker of attempt 2 was lost"
    stage = client.stage_row(published.job_id)
    assert (stage.state, stage.completed, stage.failed) == ("completed_with_errors", 9, 1)
    assert client.progress(published.job_id).failed == 1
    assert client.due_advances() == [(published.job_id, 1)]


def test_a_task_lost_twice_moves_to_its_newest_batch(
    client: Client, published: PublishedStage
) -> None:
    client.set_task_type("work", max_attempts=3)
    client.complete_tasks(published.task_ids[1:], TOKEN)
    for attempt in (2, 3):
        client.advance(MINUTE * 2)
        client.end_lost_attempts()
        client.gather_retries()
        (message,) = client.publish()
        assert message.attempt == attempt
        assert client.start(message, OTHER).verdict == "run"
    newest = client.batches(published.job_id)[-1]
    assert client.task(published.task_ids[0]).batch_id == newest.batch_id
    assert client.count("batch_members") == 1


def test_sweeps_take_a_limit(client: Client, published: PublishedStage) -> None:
    client.advance(MINUTE * 2)
    assert [client.end_lost_attempts(4) for _ in range(4)] == [4, 4, 2, 0]
    assert [client.gather_retries(4) for _ in range(4)] == [4, 4, 2, 0]
    assert client.progress(published.job_id).pending_queue == 10


def test_what_waits_in_a_stage_that_is_cancelled_keeps_no_other_from_its_turn(
    client: Client,
) -> None:
    client.set_task_type("work")
    first, second = (client.published_stage(2, "work") for _ in range(2))
    for published in (first, second):
        client.start_all(published.messages, TOKEN)
        client.fail_tasks(published.task_ids, TOKEN, ["why"] * 2)
        client.advance(MINUTE)
    client.order("cancel_stage", first.job_id, 1)
    assert client.value("select stagebus.gather_retries(2)") == 2
    assert client.task_states(second.job_id) == {"pending_queue": 2}


def test_maintenance_gathers_what_is_due_and_ends_what_is_lost(
    client: Client, published: PublishedStage
) -> None:
    client.advance(MINUTE * 2)
    assert client.maintain(7) == (7, 7)
    assert client.maintain(7) == (3, 3)
    assert client.maintain(7) == (0, 0)


def test_maintenance_is_done_by_one_session_at_a_time(
    client: Client, published: PublishedStage
) -> None:
    client.advance(MINUTE * 2)
    other = client.session()
    with client.transaction():
        assert client.maintain(4) == (4, 4)
        assert other.maintain() == (0, 0)
    assert other.maintain() == (6, 6)


def test_a_stage_that_is_locked_is_passed_over(client: Client, published: PublishedStage) -> None:
    client.advance(MINUTE * 2)
    client.end_lost_attempts()
    other = client.session()
    with client.transaction():
        client.order("set_stage", published.job_id, 1, on_failure="wait")
        assert other.gather_retries() == 0
    assert other.gather_retries() == 10


def test_what_is_not_due_is_not_gathered(client: Client, published: PublishedStage) -> None:
    client.advance(MINUTE * 2)
    client.end_lost_attempts()
    client.execute(
        "update stagebus_data.waiting_retries set due_at = due_at + interval '10 s'"
        " where task_index > 4"
    )
    assert client.gather_retries() == 4
    client.advance(timedelta(seconds=10))
    assert client.gather_retries() == 6
