"""record_dead_letters: whose attempt a dead letter fails, and whose it leaves alone."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from tests.client import Client, PublishedStage

TOKEN = UUID(int=1)
ERROR = "dead letter: MaxDeliveryCountExceeded: ten deliveries"


@pytest.fixture
def published(client: Client) -> PublishedStage:
    client.stop_clock()
    client.set_task_type("work", max_attempts=2, retry_delay="8 seconds", start_timeout="1 hour")
    return client.published_stage(4, "work")


def ids(published: PublishedStage) -> list[str]:
    return [message.message_id for message in published.messages]


def test_an_attempt_that_never_started_fails_with_the_reason(
    client: Client, published: PublishedStage
) -> None:
    assert client.record_dead_letters(ids(published)[0]) == ["retry_wait"]
    task = client.task(published.task_ids[0])
    assert (task.status, task.attempt, task.error) == ("retry_wait", 2, ERROR)
    assert task.retry_at > client.now(), "it waits as after any other failure"

    client.advance(timedelta(seconds=8))
    client.maintain()
    (again,) = client.publish()
    assert client.record_dead_letters(again.message_id, first_number=9) == ["failed"]
    task = client.task(published.task_ids[0])
    assert (task.status, task.attempt, task.error) == ("failed", 2, ERROR)
    assert client.start_all([again], TOKEN) == ["done"]
    assert client.count("running_attempts") == 0
    assert client.recount(published.job_id) == []


def test_it_is_kept_as_the_broker_told_it(client: Client, published: PublishedStage) -> None:
    first, job_id = ids(published)[0], published.job_id
    client.record_dead_letters(first, first_number=7)
    row = client.row("select * from stagebus.dead_letters")
    assert (row.job_id, row.stage, row.task_index, row.attempt, row.dispatch) == (
        job_id,
        1,
        1,
        1,
        1,
    )
    assert (row.destination, row.message_id, row.sequence_number) == ("tasks", first, 7)
    assert (row.reason, row.description) == ("MaxDeliveryCountExceeded", "ten deliveries")
    assert (row.delivery_count, row.body_bytes, row.outcome) == (10, 321, "retry_wait")
    assert (row.received_at, row.enqueued_at) == (client.now(), client.now())


def test_told_twice_it_is_one_row_and_one_failure(
    client: Client, published: PublishedStage
) -> None:
    letters = ids(published)
    for _ in range(2):
        assert client.record_dead_letters(*letters) == ["retry_wait"] * 4
    assert client.count("dead_letters") == 4
    assert {client.task(task_id).attempt for task_id in published.task_ids} == {2}


def test_told_again_it_is_not_judged_again(client: Client, published: PublishedStage) -> None:
    client.start_all(published.messages[:1], TOKEN)
    assert client.record_dead_letters(ids(published)[0]) == ["taken"]
    client.advance(timedelta(minutes=15, seconds=1))
    assert client.record_dead_letters(ids(published)[0]) == ["taken"]
    assert client.task(published.task_ids[0]).status == "processing", "the sweep will find it"


def test_told_by_two_bridges_at_once_it_is_one_failure(
    client: Client, published: PublishedStage
) -> None:
    other, letters = client.session(), ids(published)
    with client.transaction():
        client.record_dead_letters(*letters)
        told = other.in_background(lambda: other.record_dead_letters(*reversed(letters)))
        client.wait_until_blocked(other, told)
    # The other numbers them the other way round: to it they are four more messages.
    assert told.result() == ["stale"] * 4
    assert {client.task(task_id).attempt for task_id in published.task_ids} == {2}
    assert client.recount(published.job_id) == []


def test_the_same_ones_told_by_two_bridges_at_once_are_one_row_each(
    client: Client, published: PublishedStage
) -> None:
    other, letters = client.session(), ids(published)
    with client.transaction():
        client.record_dead_letters(*letters)
        told = other.in_background(lambda: other.record_dead_letters(*letters))
        client.wait_until_blocked(other, told)
    assert told.result() == ["retry_wait"] * 4
    assert client.count("dead_letters") == 4


def test_what_a_worker_has_started_or_ended_is_left_alone(
    client: Client, published: PublishedStage
) -> None:
    client.start_all(published.messages[:3], TOKEN)
    client.complete_task(published.task_ids[1], TOKEN)
    client.fail_task(published.task_ids[2], TOKEN)
    before = client.contents()
    assert client.record_dead_letters(*ids(published)[:3]) == ["taken", "done", "stale"]
    after = client.contents()
    assert {table for table in after if after[table] != before[table]} == {"dead_letters"}


def test_an_attempt_whose_worker_was_lost_fails_at_once(
    client: Client, published: PublishedStage
) -> None:
    client.start_all(published.messages[:1], TOKEN)
    client.advance(timedelta(minutes=15, seconds=1))
    assert client.record_dead_letters(ids(published)[0]) == ["retry_wait"]
    assert client.task(published.task_ids[0]).error == ERROR
    assert client.complete_task(published.task_ids[0], TOKEN) == "stale"


def test_a_letter_of_a_dispatch_before_changes_nothing(
    client: Client, published: PublishedStage
) -> None:
    (batch,) = client.batches(published.job_id)
    client.order("retry_batch", published.job_id, batch.batch_id)
    assert client.record_dead_letters(ids(published)[0]) == ["stale"]
    (first, *_) = client.publish()
    assert client.start_all([first], TOKEN) == ["run"]


def test_ghosts_and_cancelled_tasks_are_kept_for_the_record(
    client: Client, published: PublishedStage
) -> None:
    real = ids(published)[0]
    never = real.replace(str(published.job_id), str(uuid4()))
    other_nonce = real[:-10] + "0123456789"
    client.order("cancel_stage", published.job_id, 1)
    told = client.record_dead_letters(never, other_nonce, real)
    assert told == ["ghost", "ghost", "cancelled"]
    assert client.column("select outcome from stagebus.dead_letters order by 1") == sorted(told)
    assert client.task(published.task_ids[0]).attempt == 1


@pytest.mark.parametrize(
    "message_id",
    ["", "hello", "x" * 128, "0" * 36 + "-s1-1.1.1.0123456789", "{task}.1.1",
     "{task}.0.1.0123456789", "{task}.99999999999.1.0123456789", " {task}.1.1.0123456789",
     "{task}.1.1.0123456789\n"],
)  # fmt: skip
def test_of_what_is_not_ours_there_is_no_more_than_the_reason(
    client: Client, published: PublishedStage, message_id: str
) -> None:
    given = message_id.replace("{task}", published.task_ids[0])
    assert client.record_dead_letters(given, description="a secret") == ["not_ours"]
    row = client.row("select * from stagebus.dead_letters")
    assert (row.message_id, row.reason, row.body_bytes) == (given, "MaxDeliveryCountExceeded", 321)
    assert (row.description, row.job_id, row.attempt) == (None, None, None)
    assert client.task(published.task_ids[0]).attempt == 1


def test_a_message_to_a_controller_is_known_for_one(client: Client) -> None:
    client.set_task_type("told", job_messages=True)
    published = client.published_stage(1, "told")
    client.start_all(published.messages, TOKEN)
    client.complete_task(published.task_ids[0], TOKEN)
    (message,) = client.publish()
    told = client.record_dead_letters(message.message_id, destination="jobs")
    assert told == ["job_message"]


def test_of_a_provisional_stage_it_is_asked_for_again(client: Client) -> None:
    publication = client.provisional_stage(3)
    claim = client.claim()
    letters = [message.message_id for message in client.batch_messages(claim)]
    assert client.record_dead_letters(*letters) == ["wait"] * 3
    assert client.count("dead_letters") == 0
    assert client.record_send(claim, 1, 3)
    assert client.finish_batch(claim)
    assert client.record_dead_letters(*letters) == ["retry_wait"] * 3
    assert client.recount(publication.job_id) == []


def test_no_reason_is_said_to_be_none(client: Client, published: PublishedStage) -> None:
    client.record_dead_letters(ids(published)[0], reason=None, description=None)
    assert client.task(published.task_ids[0]).error == "dead letter: no reason given"


def test_the_end_of_the_last_task_by_a_dead_letter_ends_the_stage(client: Client) -> None:
    client.set_task_type("once", max_attempts=1)
    published = client.published_stage(3, "once")
    assert client.record_dead_letters(*ids(published)) == ["failed"] * 3
    assert client.stage(published.job_id).status == "completed_with_errors"
    assert client.due_advances() == [(published.job_id, 1)]


def test_arguments_that_do_not_fit_together_are_refused(
    client: Client, published: PublishedStage
) -> None:
    with client.refused("SB116"):
        client.record_dead_letters(None)
    with client.refused("SB116"):
        client.execute(
            "select stagebus.record_dead_letters('tasks', '{1}', '{a,b}', '{r}', '{d}', '{1}',"
            " '{now}', '{1}')"
        )
    with client.refused("SB115"), client.transaction("repeatable read"):
        client.record_dead_letters(ids(published)[0])


def test_bridges_look_at_all_queues(client: Client) -> None:
    def queues() -> list[tuple[str, str]]:
        return [tuple(row) for row in client.rows("select * from stagebus.dead_letter_queues()")]

    assert queues() == [("tasks", "tasks")]
    client.set_destination("events", entity="events", entity_kind="topic")
    client.set_destination("heavy", entity="heavy-1")
    client.set_destination("unused", entity="unused")
    client.set_destination("twin", entity="heavy-1")
    client.set_task_type("a", destination="heavy", job_messages=True)
    every = [("heavy", "heavy-1"), ("jobs", "jobs"), ("tasks", "tasks"), ("unused", "unused")]
    assert queues() == every
    # What was sent before is still where it was.
    client.set_task_type("a", destination="events")
    assert queues() == every
