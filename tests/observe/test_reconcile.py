"""`reconcile` compares ids of messages with what the database says is on a queue."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.client import Client, Message


def compare(
    client: Client,
    seen: Sequence[str | None],
    dead: Sequence[str] = (),
    *,
    before: datetime | None = None,
    whole: bool = True,
) -> dict[str, Any]:
    """The rows by their difference, of which there is one of each."""
    rows = client.rows(
        "select * from stagebus.reconcile('tasks', %s::text[], %s::text[], %s, %s)",
        list(seen),
        list(dead),
        before,
        whole,
    )
    assert len({row.difference for row in rows}) == len(rows)
    return {row.difference: row for row in rows}


def counts(found: dict[str, Any]) -> dict[str, int]:
    return {difference: row.messages for difference, row in found.items()}


def ids(messages: Sequence[Message]) -> list[str]:
    return [message.message_id for message in messages]


def test_a_queue_that_has_what_it_should_differs_in_nothing(client: Client) -> None:
    published = client.published_stage(5, "h3_hexagon")
    assert counts(compare(client, ids(published.messages))) == {"as it should be": 5}


def test_lost_messages_are_named_by_batch_and_the_statement_brings_them_back(
    client: Client,
) -> None:
    client.set_task_type("work", batch_size=5)
    published = client.published_stage(10, "work")
    seen = ids(published.messages[:7])
    found = compare(client, seen)
    assert counts(found) == {"as it should be": 7, "lost": 3}
    lost = found["lost"]
    assert lost.batch_id == client.batches(published.job_id)[1].batch_id
    assert lost.example in ids(published.messages[7:])
    client.execute(lost.fix)
    again = client.publish()
    assert [message.task_index for message in again] == [6, 7, 8, 9, 10]
    found = compare(client, seen + ids(again))
    # The two of the batch that were there are of the dispatch before.
    assert counts(found) == {"as it should be": 10, "stale": 2}
    client.start_all(again, token := uuid4())
    client.complete_tasks([message.task_id for message in again], token)
    assert counts(compare(client, seen)) == {"as it should be": 5, "done": 2}


def test_of_a_dispatch_before_a_message_starts_its_task_all_the_same(client: Client) -> None:
    published = client.published_stage(2, "h3_hexagon")
    (batch,) = client.batches(published.job_id)
    client.order("retry_batch", published.job_id, batch.batch_id)
    client.publish()
    found = compare(client, ids(published.messages))
    assert counts(found) == {"lost": 2, "stale": 2}
    assert "starts its task" in found["stale"].fix
    assert client.start_all(published.messages[:1], uuid4()) == ["run"]
    found = compare(client, ids(published.messages))
    assert counts(found) == {"lost": 1, "running": 1, "stale": 1}


def test_what_is_lost_of_a_provisional_stage_is_not_published_again(client: Client) -> None:
    client.set_task_type("work", batch_size=2)
    job_id = client.provisional_stage(4, "work").job_id
    client.finish_batch(client.claim())
    lost = compare(client, [])["lost"]
    comment, statement = lost.fix.split("or: ")
    assert (lost.messages, comment) == (2, "-- once its stage is confirmed, look again; ")
    client.session("stagebus_operator").execute(statement)
    client.work_orders()
    assert client.rows("select from stagebus.stages where job_id = %s", job_id) == []


def test_what_workers_and_operators_did_meanwhile_is_no_loss(client: Client) -> None:
    client.set_task_type("work", max_attempts=2, retry_delay="1 hour", max_retry_delay="1 hour")
    published = client.published_stage(8, "work")
    messages, token = published.messages, uuid4()
    client.start_all(messages[:4], token)
    client.complete_task(messages[0].task_id, token)
    client.fail_task(messages[1].task_id, token, retry=False)
    client.fail_task(messages[2].task_id, token)
    # None of those that were started need be there.
    assert counts(compare(client, ids(messages[4:]))) == {"as it should be": 4}
    found = compare(client, ids(messages))
    assert counts(found) == {"as it should be": 4, "running": 1, "done": 2, "stale": 1}
    assert found["done"].fix.startswith("-- nothing")
    client.order("cancel_stage", published.job_id, 1)
    assert counts(compare(client, ids(messages))) == {"cancelled": 6, "done": 2}


def test_what_is_not_recorded_or_not_ours_is_told_apart(client: Client) -> None:
    job_id = client.create_job()
    client.create_stage_tasks(job_id, 1, "h3_hexagon", 4)
    claim = client.claim()
    messages = client.batch_messages(claim)
    ghost = messages[0].message_id.replace(str(job_id), str(uuid4()))
    told = f"{uuid4()}.1.0123456789"
    found = compare(client, [*ids(messages[:2]), ghost, "theirs", "", "\x01", None, told])
    assert counts(found) == {"on its way": 2, "ghost": 1, "not ours": 3, "job message": 1}
    assert (found["ghost"].job_id, found["ghost"].example) == (None, ghost)


def test_scattered_batches_and_dead_letters_count(client: Client) -> None:
    client.set_task_type("work", retry_delay="0", max_retry_delay="0")
    published = client.published_stage(3, "work")
    client.start_all(published.messages[:2], token := uuid4())
    client.fail_tasks(published.task_ids[:2], token, ["no"] * 2)
    client.maintain()
    first, second = client.publish()
    (third,) = published.messages[2:]
    found = compare(client, ids([first]), ids([third]))
    assert counts(found) == {"as it should be": 1, "dead letter": 1, "lost": 1}
    assert found["lost"].example == second.message_id
    # Moved while it was looked for.
    found = compare(client, ids([first, second, third]), ids([third]))
    assert counts(found) == {"as it should be": 2, "dead letter": 1}


def test_nothing_is_lost_that_was_queued_or_not_looked_at_meanwhile(client: Client) -> None:
    before = client.stop_clock()
    client.advance(timedelta(seconds=1))
    client.published_stage(3, "h3_hexagon")
    assert compare(client, [], before=before) == {}
    client.advance(timedelta(seconds=1))
    assert compare(client, [], whole=False) == {}
    assert counts(compare(client, [])) == {"lost": 3}


def test_only_queues_of_that_name_are_compared(client: Client) -> None:
    client.set_destination("elsewhere", entity="elsewhere")
    client.set_destination("the same", entity="tasks")
    client.set_task_type("there", destination="elsewhere")
    client.set_task_type("here", destination="the same")
    client.published_stage(2, "there")
    client.published_stage(3, "here")
    assert counts(compare(client, [])) == {"lost": 3}


@pytest.mark.parametrize("destination", [None, "none"])
def test_an_unknown_destination_is_refused(client: Client, destination: str | None) -> None:
    with client.refused("SB125"):
        client.execute("select stagebus.reconcile(%s, '{}')", destination)
