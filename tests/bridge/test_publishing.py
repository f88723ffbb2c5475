"""What a bridge puts on the broker, and what the ledger says of it."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable

from bridge.contracts.tasks import TaskQueueMessage
from bridge.settings import Settings
from tests.bridge.conftest import (
    BATCH_BYTES,
    Queue,
    all_queued,
    assert_ledger_is_whole,
    create_stage,
    expected_ids,
    running,
    sends_of,
    states,
)
from tests.bridge.gate import Gate
from tests.client import Client
from tests.eventually import becomes

Make = Callable[..., Settings]


async def publish_all(client: Client, settings: Settings) -> None:
    async with running(settings):
        await becomes(lambda: all_queued(client))


def test_every_message_of_a_stage_arrives_exactly_once(
    client: Client, queue: Queue, settings: Make
) -> None:
    job_id = create_stage(client, 2500, batch_size=400)

    asyncio.run(publish_all(client, settings(connections=3)))

    received = queue.receive(2500)
    assert Counter(str(message.message_id) for message in received) == Counter(
        expected_ids(client, job_id)
    )
    assert queue.counts["duplicates_dropped"] == 0
    assert queue.counts["sends_rejected"] == 0
    assert_ledger_is_whole(client, job_id)
    assert sends_of(client) == queue.counts["sends_accepted"]
    assert set(client.column("select outcome from stagebus.sends")) == {"accepted"}
    assert set(client.column("select publish_attempts from stagebus.batches")) == {0}


def test_a_message_is_a_task_queue_message_and_says_what_it_carries(
    client: Client, queue: Queue, settings: Make
) -> None:
    tasks = [{"name": "Zürich 🗺"}, {"name": 'a "quote" and a \\'}, {"cells": [1, {"deep": None}]}]
    client.set_task_type("tiles", batch_size=2)
    job_id = client.create_job("maps")
    client.create_stage_tasks_from_array(job_id, 1, "tiles", tasks, {"zoom": 7})

    asyncio.run(publish_all(client, settings()))

    received = {
        TaskQueueMessage.model_validate_json(b"".join(message.body)).task_index: message
        for message in queue.receive(3)
    }
    assert set(received) == {1, 2, 3}
    batches = {
        index: batch.batch_id
        for batch in client.batches(job_id)
        for index in range(batch.first_index, batch.last_index + 1)
    }
    for index, message in received.items():
        body = TaskQueueMessage.model_validate_json(b"".join(message.body))
        assert message.content_type == "application/json"
        assert message.subject == "tiles"
        assert body.job_id == job_id
        assert body.job_type == "maps"
        assert body.task_id == f"{job_id}-s1-{index}"
        assert body.parameters == {"zoom": 7, **tasks[index - 1]}
        assert body.batch_id == batches[index]
        assert message.message_id == f"{body.task_id}.1.1.{body.nonce}"


def test_a_send_keeps_to_the_link_s_byte_limit(
    client: Client, queue: Queue, settings: Make
) -> None:
    job_id = create_stage(client, 500, batch_size=500)

    asyncio.run(publish_all(client, settings()))

    sizes = client.column("select bytes from stagebus.sends")
    assert len(sizes) > 3
    assert max(sizes) <= BATCH_BYTES - 512
    # Full, but for the last.
    assert sorted(sizes)[1] > 0.9 * (BATCH_BYTES - 512)
    assert queue.counts["sends_rejected"] == 0
    assert_ledger_is_whole(client, job_id)


def test_a_send_keeps_to_the_destination_s_byte_limit(
    client: Client, queue: Queue, settings: Make
) -> None:
    client.set_destination("tasks", max_send_bytes=8000)
    job_id = create_stage(client, 100)

    asyncio.run(publish_all(client, settings()))

    assert max(client.column("select bytes from stagebus.sends")) <= 8000 - 512
    assert_ledger_is_whole(client, job_id)


def test_a_send_keeps_to_the_lower_of_both_message_counts(
    client: Client, queue: Queue, settings: Make
) -> None:
    client.set_destination("tasks", max_send_messages=7)
    create_stage(client, 20)
    asyncio.run(publish_all(client, settings(max_send_messages=100)))
    count = "select messages from stagebus.sends order by recorded_at"
    assert client.column(count) == [7, 7, 6]

    create_stage(client, 10)
    asyncio.run(publish_all(client, settings(max_send_messages=4)))
    assert client.column(count)[3:] == [4, 4, 2]
    assert queue.stored == 30


def test_each_connection_has_a_batch_in_flight(
    client: Client, queue: Queue, gated: Make, gate: Gate
) -> None:
    create_stage(client, 60, batch_size=10)

    async def scenario() -> None:
        gate.hold_answers()
        async with running(gated(connections=3)):
            await becomes(lambda: states(client) == {"publishing": 3, "pending_queue": 3})
            gate.open()
            await becomes(lambda: all_queued(client))

    asyncio.run(scenario())
    assert queue.stored == 60


def test_two_bridges_side_by_side_publish_no_batch_twice(
    client: Client, queue: Queue, settings: Make
) -> None:
    async def scenario() -> None:
        async with running(settings(connections=2)), running(settings(connections=2)):
            create_stage(client, 3000, batch_size=30)
            await becomes(lambda: all_queued(client))

    asyncio.run(scenario())
    assert queue.stored == 3000
    assert queue.counts["duplicates_dropped"] == 0
    assert len(set(client.column("select claimed_by from stagebus.sends"))) == 2
    assert set(client.column("select claim_epoch from stagebus.batches")) == {1}


def test_a_message_too_big_for_the_link_fails_its_task_alone_and_the_rest_goes_out(
    client: Client, queue: Queue, settings: Make
) -> None:
    client.set_task_type("tiles", batch_size=3)
    job_id = client.create_job()
    tasks = [{"n": n} for n in range(1, 10)]
    tasks[0] = tasks[4] = tasks[8] = {"n": "5" * BATCH_BYTES}
    client.create_stage_tasks_from_array(job_id, 1, "tiles", tasks)

    async def scenario() -> None:
        async with running(settings(publish_attempts=1)):
            await becomes(lambda: states(client) == {"queued": 3})

    asyncio.run(scenario())
    failed = client.rows("select * from stagebus.tasks where status = 'failed' order by task_index")
    assert [task.task_index for task in failed] == [1, 5, 9]
    assert {task.error for task in failed} == {"alone it is too big for a send of the destination"}
    assert {json.loads(b"".join(m.body))["task_index"] for m in queue.receive(6)} == {
        2, 3, 4, 6, 7, 8,
    }  # fmt: skip
    assert client.recount(job_id) == []
