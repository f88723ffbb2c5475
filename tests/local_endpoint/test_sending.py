"""What becomes of a send: stored as it is, or refused as a whole with the service's error."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusReceiver, ServiceBusSender
from azure.servicebus.amqp import AmqpAnnotatedMessage, AmqpMessageProperties
from azure.servicebus.exceptions import (
    MessageSizeExceededError,
    MessagingEntityNotFoundError,
    ServiceBusError,
)

from bridge.local.endpoint import EntityConfig
from tests.local_endpoint.conftest import Bench, Lane, endpoint_of


def test_a_single_message_arrives_with_all_its_parts(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        before = datetime.now(UTC)
        await lane.sender.send_messages(
            ServiceBusMessage(
                b"\x00payload",
                message_id="m-1",
                subject="a subject",
                correlation_id="c-1",
                content_type="application/json",
                time_to_live=timedelta(hours=1),
                partition_key="p",
                application_properties={"text": "ü", "number": 7},
            )
        )
        message = await lane.one()
        assert b"".join(message.body) == b"\x00payload"
        assert message.message_id == "m-1"
        assert (message.subject, message.correlation_id) == ("a subject", "c-1")
        assert message.content_type == "application/json"
        assert message.time_to_live == timedelta(hours=1)
        assert message.partition_key == "p"
        assert message.application_properties == {b"text": "ü".encode(), b"number": 7}
        assert message.sequence_number == 1
        assert message.delivery_count == 0
        enqueued, locked = message.enqueued_time_utc, message.locked_until_utc
        assert enqueued is not None
        assert locked is not None
        assert before - timedelta(seconds=1) < enqueued < datetime.now(UTC) + timedelta(seconds=1)
        assert timedelta(seconds=55) < locked - datetime.now(UTC) < timedelta(seconds=61)

    bench.run(work())


def test_a_batch_arrives_as_its_messages_in_their_order(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        batch = await lane.sender.create_message_batch()
        for number in range(100):
            body = b"x" * (number * 5)
            batch.add_message(ServiceBusMessage(body, message_id=f"b-{number}"))
        await lane.sender.send_messages(batch)
        got = await lane.receive(100)
        assert [message.message_id for message in got] == [f"b-{n}" for n in range(100)]
        assert [message.sequence_number for message in got] == list(range(1, 101))
        assert [len(b"".join(message.body)) for message in got] == [n * 5 for n in range(100)]
        assert lane.counts()["sends_accepted"] == 1

    bench.run(work())


def test_the_link_announces_the_limits_of_the_queue(bench: Bench) -> None:
    async def work() -> None:
        config = EntityConfig(max_batch_bytes=100_000, max_message_bytes=1_000_000)
        async with (
            endpoint_of({"large": config}) as (_, client),
            client.get_queue_sender("large") as sender,
        ):
            batch = await sender.create_message_batch()
            assert batch.max_size_in_bytes == 100_000
            await sender.send_messages(ServiceBusMessage(b"x" * 900_000))

    bench.run(work())


def test_a_message_over_the_limit_is_refused_and_the_next_one_taken(
    bench: Bench, lane: Lane
) -> None:
    async def work() -> None:
        for size in (262_144, 3_000_000):
            with pytest.raises(MessageSizeExceededError):
                await lane.sender.send_messages(ServiceBusMessage(b"x" * size))
        await lane.send("fits")
        assert lane.counts()["stored"] == 1
        assert lane.counts()["sends_rejected"] == 2

    bench.run(work())


def test_a_batch_over_the_limit_in_bytes_is_refused_as_a_whole(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        batch = await lane.sender.create_message_batch()
        # The SDK does not count the envelope, which repeats the id of the first message.
        batch.add_message(ServiceBusMessage(b"x" * 1000, message_id="i" * 128))
        room = batch.max_size_in_bytes - batch.size_in_bytes
        batch.add_message(ServiceBusMessage(b"x" * (room - 100), message_id="j"))
        with pytest.raises(MessageSizeExceededError):
            await lane.sender.send_messages(batch)
        assert lane.counts()["received"] == 0

    bench.run(work())


def test_a_batch_of_too_many_messages_is_refused_as_a_whole(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        batch = await lane.sender.create_message_batch()
        for number in range(4_500):
            batch.add_message(ServiceBusMessage(b"", message_id=str(number)))
        await lane.sender.send_messages(batch)
        assert lane.counts()["stored"] == 4_500
        batch.add_message(ServiceBusMessage(b"", message_id="one too many"))
        with pytest.raises(ServiceBusError) as caught:
            await lane.sender.send_messages(batch)
        assert "amqp:internal-error" in str(caught.value)
        assert lane.counts()["received"] == 4_500

    bench.run(work())


def test_an_unknown_queue_is_not_found_by_sender_and_receiver(bench: Bench) -> None:
    async def work() -> None:
        async def look(client: ServiceBusSender | ServiceBusReceiver) -> None:
            with pytest.raises(MessagingEntityNotFoundError):
                await client.__aenter__()
            await client.close()

        await asyncio.gather(
            look(bench.client.get_queue_sender("nowhere")),
            look(bench.client.get_queue_receiver("nowhere")),
            look(bench.client.get_queue_receiver("nowhere", sub_queue="deadletter")),
        )

    bench.run(work())


def test_the_name_of_a_queue_is_found_whatever_its_case(bench: Bench) -> None:
    async def work() -> None:
        async with bench.client.get_queue_sender("SpArE") as sender:
            await sender.send_messages(ServiceBusMessage(b"x"))
        assert bench.endpoint.queue("spare").counts()["stored"] == 1

    bench.run(work())


def test_nothing_can_be_sent_to_a_dead_letter_queue(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        sender = bench.client.get_queue_sender(lane.name + "/$DeadLetterQueue")
        with pytest.raises(ServiceBusError, match="not-allowed"):
            await sender.__aenter__()
        await sender.close()

    bench.run(work())


def test_an_id_of_more_than_128_characters_is_refused(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        fits, long = (
            AmqpAnnotatedMessage(data_body=b"x", properties=AmqpMessageProperties(message_id=each))
            for each in ("ü" * 128, "i" * 129)
        )
        await lane.sender.send_messages(fits)
        with pytest.raises(ServiceBusError, match="argument-error"):
            await lane.sender.send_messages(long)
        assert lane.counts()["received"] == 1

    bench.run(work())
