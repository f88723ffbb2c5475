"""Retries of an atomic stage: each batch that they are gathered into is one send."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from uuid import UUID

from azure.servicebus import ServiceBusMessageBatch

from bridge.batch import Message
from bridge.encoder import EncodedBatch
from bridge.message_bytes import Common
from bridge.send import Send
from tests.client import Client, Json, PublishedStage

TOKEN = UUID(int=1)
LIMIT = 20_000 - 512
#: Kept in each message for the digits of later dispatches.
DISPATCHES = 9


def lost(client: Client, task_type: str, tasks: int | Sequence[Json]) -> PublishedStage:
    """A stage each of whose tasks was started, and lost its worker."""
    published = client.published_stage(tasks, task_type, {"zoom": 7})
    client.start_all(published.messages, TOKEN)
    client.fail_tasks(published.task_ids, TOKEN, ["lost"] * len(published.task_ids))
    return published


def sizes(client: Client, limit: int = LIMIT) -> dict[UUID, list[dict[int, int]]]:
    """Of each stage the batches that wait, each in one send: the bytes of its tasks' messages."""
    found: dict[UUID, list[dict[int, int]]] = {}
    for claim in client.claim_batches(1000):
        packed = EncodedBatch(ServiceBusMessageBatch(limit), Common(subject=claim.task_type))
        send = Send(packed, claim.max_send_messages)
        batch: dict[int, int] = {}
        for message in client.batch_messages(claim):
            before = send.size
            assert not send.add_all([Message(message.task_index, message.message_id, message.body)])
            batch[message.task_index] = send.size - before
        found.setdefault(claim.job_id, []).append(batch)
    return found


def test_they_fill_sends_and_those_of_other_stages_do_not(client: Client) -> None:
    client.set_destination("tasks", max_send_bytes=20_000)
    client.set_task_type("work", atomic=True, batch_size=1000, retry_delay="0")
    client.set_task_type("plain", batch_size=150, retry_delay="0")
    large = [{"name": "é" * (index * 7919 % 1500)} for index in range(1, 201)]
    own, numbered = lost(client, "work", large), lost(client, "work", 200)
    plain = lost(client, "plain", 200)
    assert client.gather_retries() == 600
    batches = client.rows(
        "select * from stagebus_data.batches where scattered and job_id = %s order by seq",
        plain.job_id,
    )
    assert [(batch.task_count, batch.atomic) for batch in batches] == [(150, False), (50, False)]
    client.order("hold_batch", plain.job_id, batches[0].batch_id)
    client.order("hold_batch", plain.job_id, batches[1].batch_id)
    found = sizes(client)
    for job_id in (own.job_id, numbered.job_id):
        assert [index for batch in found[job_id] for index in batch] == [*range(1, 201)]
        assert len(found[job_id]) > 3
        for batch, after in pairwise(found[job_id]):
            full = sum(batch.values()) + DISPATCHES * len(batch)
            assert full <= LIMIT < full + next(iter(after.values())) + DISPATCHES


def test_they_keep_to_what_the_destination_takes_now(client: Client) -> None:
    client.set_task_type("work", atomic=True, boundary="by_stage", retry_delay="0")
    published = lost(client, "work", 10)
    client.set_destination("tasks", max_send_messages=4)
    client.gather_retries()
    batches = client.batches(published.job_id)
    assert [batch.task_count for batch in batches] == [10, 4, 4, 2]
    assert all(batch.atomic for batch in batches)
    assert len(sizes(client)[published.job_id]) == 3


def test_one_for_which_the_room_has_gone_is_alone(client: Client) -> None:
    client.set_task_type("work", atomic=True, retry_delay="0")
    published = lost(client, "work", [{}, {"x": "y" * 9000}, {}])
    client.set_destination("tasks", max_send_bytes=8192)
    client.gather_retries()
    assert [batch.task_count for batch in client.batches(published.job_id)[1:]] == [1, 1, 1]


def test_later_attempts_have_room_for_their_digits(client: Client) -> None:
    client.set_task_type("work", atomic=True, retry_delay="0", max_attempts=1000)
    published = lost(client, "work", 100)
    client.execute("update stagebus_data.tasks set attempt = 999")
    client.set_destination("tasks", max_send_bytes=20_000)
    client.gather_retries()
    (batches,) = sizes(client).values()
    assert [index for batch in batches for index in batch] == [*range(1, 101)]
    full = sum(batches[0].values()) + DISPATCHES * len(batches[0])
    assert full <= LIMIT < full + batches[1][len(batches[0]) + 1] + DISPATCHES
    assert client.recount(published.job_id) == []


def test_each_of_many_is_looked_at_once(client: Client) -> None:
    """A plan that met all tasks of the stage for each of them took minutes for 20,000."""
    client.set_task_type("work", atomic=True, retry_delay="0", batch_size=10_000)
    job_id = client.create_job()
    client.create_stage_tasks_from_array(job_id, 1, "work", [{"n": n} for n in range(15_000)])
    client.execute("update stagebus_data.tasks set state = 'retry_wait'")
    client.execute(
        "insert into stagebus_data.waiting_retries (job_id, stage, task_index, due_at, error)"
        " select job_id, stage, task_index, stagebus.clock(), 'lost' from stagebus_data.tasks"
    )
    with client.transaction():
        client.execute("set local statement_timeout = '20s'")
        assert client.gather_retries(100_000) == 15_000
    scattered = [batch for batch in client.batches(job_id) if batch.scattered]
    assert sum(batch.task_count for batch in scattered) == 15_000
