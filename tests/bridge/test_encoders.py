"""By our encoder or the SDK's: the same messages arrive, and sends are cut alike."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.servicebus import (
    ServiceBusClient,
    ServiceBusMessageBatch,
    ServiceBusReceivedMessage,
)
from azure.servicebus._common import message as sdk_message
from azure.servicebus.aio import ServiceBusClient as AsyncServiceBusClient

from bridge import publisher
from bridge.batch import Message
from bridge.encoder import EncodedBatch, SdkBatch
from bridge.encoder_check import chosen_encoder
from bridge.lane import TOO_BIG
from bridge.message_bytes import Common
from bridge.settings import Settings
from tests.bridge.conftest import (
    BATCH_BYTES,
    Queue,
    all_queued,
    assert_ledger_is_whole,
    close_meanwhile,
    create_stage,
    expected_ids,
    running,
    states,
)
from tests.client import Client
from tests.eventually import becomes

Make = Callable[..., Settings]

BOTH = pytest.mark.parametrize("encoder", [SdkBatch, EncodedBatch], ids=lambda each: each.__name__)

EVERYTHING = Common(
    subject="tïles",
    correlation_id="corrélation",
    session_id="session",
    partition_key="session",
    scheduled_at=datetime(2020, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC),
    time_to_live=timedelta(days=14),
    application_properties={"traceparent": "00-é", "long": "x" * 300},
)


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[type[SdkBatch]], None]:
    """Has publishers use that encoder."""
    return lambda encoder: monkeypatch.setattr(publisher, "chosen_encoder", lambda: encoder)


def publish(settings: Settings, until: Callable[[], bool]) -> None:
    async def scenario() -> None:
        async with running(settings):
            await becomes(until, within=30)

    asyncio.run(scenario())


def bytes_of(message: ServiceBusReceivedMessage) -> bytes:
    return b"".join(message.body)


@BOTH
def test_what_arrives_is_what_sql_renders(
    client: Client, queue: Queue, settings: Make, use: Any, encoder: type[SdkBatch]
) -> None:
    use(encoder)
    tasks = [{"name": "é" * (index * 37 % 400), "index": index} for index in range(1, 201)]
    client.set_task_type("tïles", batch_size=150)
    job_id = client.create_job()
    client.create_stage_tasks_from_array(job_id, 1, "tïles", tasks)
    publish(settings(), lambda: all_queued(client))
    received = {str(message.message_id): message for message in queue.receive(200)}
    assert {*received} == expected_ids(client, job_id)
    assert_ledger_is_whole(client, job_id)
    assert queue.counts["sends_accepted"] > 2
    for message in received.values():
        assert (message.subject, message.content_type) == ("tïles", "application/json")
        assert not message.application_properties
        body = json.loads(bytes_of(message))
        assert str(message.message_id).startswith(f"{body['task_id']}.1.1.")
        assert body["parameters"] == tasks[body["task_index"] - 1]


@BOTH
def test_a_task_that_no_send_has_room_for_fails_alone(
    client: Client, queue: Queue, settings: Make, use: Any, encoder: type[SdkBatch]
) -> None:
    use(encoder)
    sizes = [10, BATCH_BYTES, 20_000, 20_000, BATCH_BYTES, BATCH_BYTES, 10]
    client.set_task_type("tiles")
    job_id = client.create_job()
    tasks = [{"name": "x" * size} for size in sizes]
    client.create_stage_tasks_from_array(job_id, 1, "tiles", tasks)
    publish(settings(), lambda: all_queued(client))
    failed = client.rows("select * from stagebus.tasks where status = 'failed' order by task_index")
    assert [(task.task_index, task.error) for task in failed] == [
        (2, TOO_BIG), (5, TOO_BIG), (6, TOO_BIG),
    ]  # fmt: skip
    sends = client.rows("select first_index, last_index from stagebus.sends order by send_no")
    assert [tuple(send) for send in sends] == [(1, 1), (3, 3), (4, 4), (7, 7)]
    assert queue.stored == 4


@BOTH
def test_no_send_has_more_messages_than_the_destination_takes(
    client: Client, queue: Queue, settings: Make, use: Any, encoder: type[SdkBatch]
) -> None:
    use(encoder)
    client.set_destination("tasks", max_send_messages=7)
    create_stage(client, 50, batch_size=25)
    publish(settings(), lambda: all_queued(client))
    messages = client.column("select messages from stagebus.sends order by batch_id, send_no")
    assert messages == [7, 7, 7, 4] * 2
    assert queue.stored == 50


@BOTH
def test_an_atomic_batch_fills_one_send_or_fails_with_its_size(
    client: Client, queue: Queue, settings: Make, use: Any, encoder: type[SdkBatch]
) -> None:
    use(encoder)
    client.set_destination("tasks", max_send_bytes=BATCH_BYTES)
    create_stage(client, 300, batch_size=1000, atomic=True)
    publish(settings(), lambda: all_queued(client))
    sends = client.rows("select bytes, messages from stagebus.sends order by messages")
    assert len(sends) == client.count("batches") == queue.counts["sends_accepted"] > 2
    assert sends[-1].bytes > 0.93 * BATCH_BYTES
    assert queue.stored == 300
    client.set_destination("tasks", max_send_bytes=8192)
    create_stage(client, 10, batch_size=1000, atomic=True, task_type="small")
    client.set_destination("tasks", max_send_bytes=4096)
    publish(settings(), lambda: states(client).get("failed") == 1)
    assert "atomic, but it does not fit in one send: 10 tasks" in client.value(
        "select last_error from stagebus_data.batches where state = 'failed'"
    )


def sent(queue: Queue, encoder: type[SdkBatch], common: Common, messages: list[Message]) -> Any:
    """Sends these by the synchronous client; what is received of them."""
    client = ServiceBusClient.from_connection_string(queue.connection_string)
    sender = client.get_queue_sender(queue.name)
    batch = sender.create_message_batch()
    packed = encoder(batch, common)
    assert packed.add_all(messages) == len(messages)
    sender.send_messages(packed.packed())
    close_meanwhile(sender, client)
    return queue.receive(len(messages))


def seen(message: ServiceBusReceivedMessage) -> list[Any]:
    """All that can be read of a message, but for when the broker had it and under which id."""
    raw = message.raw_amqp_message
    annotations = {**(raw.annotations or {})}
    for key in (b"x-opt-enqueued-time", b"x-opt-sequence-number", b"x-opt-enqueue-sequence-number"):
        annotations.pop(key, None)
    return [
        bytes_of(message), message.body_type, message.subject, message.content_type,
        message.session_id, message.partition_key, message.correlation_id,
        message.application_properties, message.time_to_live, annotations,
        message.scheduled_enqueue_time_utc, raw.header, raw.delivery_annotations, raw.footer,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "common", [Common(subject="tiles"), EVERYTHING], ids=["subject", "everything"]
)
def test_all_there_is_to_see_of_a_message_is_the_same(queue: Queue, common: Common) -> None:
    bodies = [b"{}", b"", "é🗺".encode(), b"x" * 255, b"x" * 256, b"x" * 7000]
    received = {
        encoder: sent(
            queue,
            encoder,
            common,
            [
                Message(1, f"{encoder.__name__}-é-{number}", body)
                for number, body in enumerate(bodies)
            ],
        )
        for encoder in (SdkBatch, EncodedBatch)
    }
    sdks, ours = received[SdkBatch], received[EncodedBatch]
    assert [bytes_of(message) for message in ours] == bodies
    assert [seen(message) for message in ours] == [seen(message) for message in sdks]
    assert [message.message_id for message in ours] == [
        f"EncodedBatch-é-{number}" for number in range(len(bodies))
    ]
    assert {message.subject for message in ours} == {common.subject}
    assert {message.session_id for message in ours} == {common.session_id}
    assert {message.time_to_live for message in ours} == {common.time_to_live}
    assert {message.scheduled_enqueue_time_utc for message in ours} == {common.scheduled_at}


def test_an_sdk_that_differs_is_told_of_and_publishes_all_the_same(
    client: Client,
    queue: Queue,
    settings: Make,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fresh_choice: None,
) -> None:
    monkeypatch.setattr(sdk_message, "_BATCH_MESSAGE_OVERHEAD_COST", [5, 9])
    create_stage(client, 50)
    publish(settings(connections=2), lambda: all_queued(client))
    assert queue.stored == 50
    told = [each for each in caplog.records if each.getMessage() == "encoder.differs"]
    assert [each.levelname for each in told] == ["WARNING"]


@pytest.fixture
def fresh_choice() -> Iterator[None]:
    chosen_encoder.cache_clear()
    yield
    chosen_encoder.cache_clear()


def test_a_batch_of_the_other_client_is_refused_rather_than_sent_empty(queue: Queue) -> None:
    """The SDK makes it anew from its own list of messages, in which ours are not."""
    batch = ServiceBusMessageBatch(1000)
    messages = [Message(1, f"id-{number}", b"{}") for number in range(3)]
    assert EncodedBatch(batch, Common(subject="tiles")).add_all(messages) == 3

    async def send() -> None:
        async with (
            AsyncServiceBusClient.from_connection_string(queue.connection_string) as client,
            client.get_queue_sender(queue.name) as sender,
        ):
            with pytest.raises(RuntimeError, match="not listed"):
                await sender.send_messages(batch)

    asyncio.run(send())
    assert queue.stored == 0
