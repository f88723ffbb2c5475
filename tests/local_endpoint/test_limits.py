"""What an entity may hold, and what a tier of the service allows, through the SDK."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from azure.servicebus import ServiceBusClient as SyncClient
from azure.servicebus import ServiceBusMessage, ServiceBusReceiveMode
from azure.servicebus.aio import ServiceBusSender
from azure.servicebus.exceptions import ServiceBusQuotaExceededError

from bridge.local.endpoint import Endpoint, EntityConfig
from bridge.local.endpoint.config import TopicConfig
from bridge.local.endpoint.process import run_endpoint
from tests.local_endpoint.conftest import Bench, connect, endpoint_of

#: Room for three messages of 1,000 bytes and what goes with them, but not for four.
NARROW = EntityConfig(max_size_bytes=3_900, lock_duration=300)


async def fill(sender: ServiceBusSender) -> int:
    """Send messages of 1,000 bytes until one is refused; returns how many were taken."""
    sent = 0
    while True:
        try:
            await sender.send_messages(ServiceBusMessage(bytes(1_000)))
        except ServiceBusQuotaExceededError:
            return sent
        sent += 1


def test_a_full_queue_refuses_until_messages_have_left_it(bench: Bench) -> None:
    async def work() -> None:
        async with (
            endpoint_of({"narrow": NARROW}) as (endpoint, client),
            client.get_queue_sender("narrow") as sender,
            client.get_queue_receiver("narrow") as receiver,
        ):
            assert await fill(sender) == 3
            assert endpoint.queue("narrow").counts()["sends_rejected"] == 1
            received = await receiver.receive_messages(3, max_wait_time=3)
            while len(received) < 3:
                received += await receiver.receive_messages(3, max_wait_time=3)
            # Locked and buried messages take room as well; completed ones do not.
            assert await fill(sender) == 0
            await receiver.dead_letter_message(received[0])
            assert await fill(sender) == 0
            await receiver.complete_message(received[1])
            assert await fill(sender) == 1

    bench.run(work())


def test_a_batch_for_which_there_is_no_room_is_refused_as_a_whole(bench: Bench) -> None:
    async def work() -> None:
        delete = ServiceBusReceiveMode.RECEIVE_AND_DELETE
        async with (
            endpoint_of({"narrow": NARROW}) as (endpoint, client),
            client.get_queue_sender("narrow") as sender,
            client.get_queue_receiver("narrow", receive_mode=delete) as receiver,
        ):
            with pytest.raises(ServiceBusQuotaExceededError):
                await sender.send_messages([ServiceBusMessage(bytes(1_000)) for _ in range(4)])
            assert endpoint.queue("narrow").counts()["stored"] == 0
            for _ in range(3):
                await sender.send_messages([ServiceBusMessage(bytes(1_000)) for _ in range(3)])
                received = 0
                while received < 3:
                    received += len(await receiver.receive_messages(3, max_wait_time=3))

    bench.run(work())


def test_a_topic_is_full_when_one_of_its_subscriptions_is(bench: Bench) -> None:
    async def work() -> None:
        both = {"read": EntityConfig(), "unread": EntityConfig()}
        async with (
            Endpoint(topics={"news": TopicConfig(NARROW, both)}) as endpoint,
            connect(endpoint.connection_string) as client,
            client.get_topic_sender("news") as sender,
            client.get_subscription_receiver("news", "read") as receiver,
        ):
            assert await fill(sender) == 3
            for _ in range(3):
                (message,) = await receiver.receive_messages(1, max_wait_time=3)
                await receiver.complete_message(message)
            assert endpoint.queue("news/Subscriptions/read").size() == 0
            assert await fill(sender) == 0

    bench.run(work())


def test_what_is_scheduled_takes_room_too(bench: Bench) -> None:
    async def work() -> None:
        async with (
            endpoint_of({"narrow": NARROW}) as (endpoint, client),
            client.get_queue_sender("narrow") as sender,
        ):
            later = datetime.now(UTC) + timedelta(hours=1)
            big = [ServiceBusMessage(bytes(1_000)) for _ in range(3)]
            numbers = await sender.schedule_messages(big, later)
            with pytest.raises(ServiceBusQuotaExceededError):
                await sender.schedule_messages(ServiceBusMessage(bytes(1_000)), later)
            assert await fill(sender) == 0
            assert endpoint.queue("narrow").counts()["scheduled_now"] == 3
            await sender.cancel_scheduled_messages(numbers)
            assert await fill(sender) == 3

    bench.run(work())


@pytest.mark.parametrize(
    ("arguments", "most"),
    [
        ([], 262_144),
        (["--tier", "premium"], 1_048_576),
        (["--tier", "premium", "--max-batch-bytes", "5000"], 5_000),
    ],
)
def test_the_link_announces_the_limits_of_the_tier(arguments: list[str], most: int) -> None:
    with (
        run_endpoint(["tasks"], arguments=arguments) as process,
        SyncClient.from_connection_string(process.connection_string, retry_total=0) as client,
        client.get_queue_sender("tasks") as sender,
    ):
        assert sender.create_message_batch().max_size_in_bytes == most


def test_a_batch_on_premium_has_up_to_15885_messages(bench: Bench) -> None:
    async def work() -> None:
        async with (
            endpoint_of({"q": EntityConfig(max_batch_bytes=1_048_576, max_batch_count=15_885)}) as (
                endpoint,
                client,
            ),
            client.get_queue_sender("q") as sender,
        ):
            batch = await sender.create_message_batch()
            for _ in range(15_885):
                batch.add_message(ServiceBusMessage(b"", message_id="i"))
            await sender.send_messages(batch)
            assert endpoint.queue("q").counts()["received"] == 15_885

    bench.run(work())
