"""Topics and subscriptions, through the SDK: every subscription gets everything, once."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver
from azure.servicebus.exceptions import MessagingEntityNotFoundError, ServiceBusError

from bridge.local.endpoint import Endpoint, EntityConfig
from bridge.local.endpoint.config import TopicConfig

TOPICS = {
    "news": TopicConfig(
        EntityConfig(duplicate_window=600),
        {
            "Reader": EntityConfig(max_delivery_count=1),
            "archive": EntityConfig(lock_duration=300),
        },
    ),
    "unheard": TopicConfig(),
}
PATIENCE = 30


def run(test: Coroutine[object, object, None]) -> None:
    asyncio.run(asyncio.wait_for(test, PATIENCE))


async def ids(receiver: ServiceBusReceiver, count: int) -> list[str | None]:
    """Receive and complete `count` messages."""
    found: list[str | None] = []
    while len(found) < count:
        for message in await receiver.receive_messages(count - len(found), max_wait_time=5):
            found.append(message.message_id)
            await receiver.complete_message(message)
    return found


def messages(*names: str) -> list[ServiceBusMessage]:
    return [ServiceBusMessage(b"x", message_id=name) for name in names]


def client(endpoint: Endpoint) -> ServiceBusClient:
    return ServiceBusClient.from_connection_string(endpoint.connection_string, retry_total=0)


def test_every_subscription_gets_every_message_and_settles_its_own() -> None:
    async def test() -> None:
        async with (
            Endpoint(topics=TOPICS) as endpoint,
            client(endpoint) as bus,
            bus.get_topic_sender("news") as sender,
            bus.get_subscription_receiver("news", "reader") as reader,
            bus.get_subscription_receiver("NEWS", "archive") as archive,
        ):
            await sender.send_messages(messages("a", "b"))
            # A duplicate of one of them: the topic drops it for all.
            await sender.send_messages(messages("b", "c"))
            assert await ids(reader, 3) == ["a", "b", "c"]
            counts = endpoint.counts()["entities"]
            assert counts["news/Subscriptions/archive"]["active"] == 3
            assert counts["news/Subscriptions/Reader"]["completed"] == 3
            assert counts["news"]["duplicates_dropped"] == 1
            assert await ids(archive, 3) == ["a", "b", "c"]

    run(test())


def test_a_subscription_has_settings_and_dead_letters_of_its_own() -> None:
    async def test() -> None:
        async with (
            Endpoint(topics=TOPICS) as endpoint,
            client(endpoint) as bus,
            bus.get_topic_sender("news") as sender,
            bus.get_subscription_receiver("news", "reader") as reader,
            bus.get_subscription_receiver("news", "reader", sub_queue="deadletter") as buried,
            bus.get_subscription_receiver("news", "archive") as archive,
        ):
            await sender.send_messages(messages("a"))
            (message,) = await reader.receive_messages(1, max_wait_time=5)
            # At most one delivery, so an abandon is the end of it there, and only there.
            await reader.abandon_message(message)
            (dead,) = await buried.receive_messages(1, max_wait_time=5)
            assert dead.dead_letter_reason == "MaxDeliveryCountExceeded"
            assert await ids(archive, 1) == ["a"]

    run(test())


def test_a_topic_without_subscriptions_takes_messages_and_counts_them() -> None:
    async def test() -> None:
        async with Endpoint(topics=TOPICS) as endpoint, client(endpoint) as bus:
            async with bus.get_topic_sender("unheard") as sender:
                await sender.send_messages(messages("a", "b"))
            assert endpoint.counts()["entities"]["unheard"]["stored"] == 2

    run(test())


def test_nothing_is_received_from_a_topic_nor_sent_to_a_subscription() -> None:
    async def test() -> None:
        async with Endpoint(topics=TOPICS) as endpoint, client(endpoint) as bus:
            with pytest.raises(MessagingEntityNotFoundError, match="one of its subscriptions"):
                await bus.get_queue_receiver("news").__aenter__()
            sender = bus.get_queue_sender("news/Subscriptions/reader")
            with pytest.raises(ServiceBusError, match="Nothing can be sent"):
                await sender.send_messages(messages("a"))
            await sender.close()
            counts = endpoint.counts()["entities"]
            assert counts["news/Subscriptions/Reader"]["received"] == 0

    run(test())


@pytest.mark.parametrize("name", ["nobody", "reader/nobody"])
def test_a_subscription_that_is_not_there_is_not_found(name: str) -> None:
    async def test() -> None:
        async with Endpoint(topics=TOPICS) as endpoint, client(endpoint) as bus:
            with pytest.raises(MessagingEntityNotFoundError):
                await bus.get_subscription_receiver("news", name).__aenter__()

    run(test())


def test_the_subscriptions_of_a_topic_share_the_bytes_of_a_send() -> None:
    async def test() -> None:
        many = {f"s{number}": EntityConfig() for number in range(40)}
        topics = {"wide": TopicConfig(EntityConfig(), many)}
        async with Endpoint(topics=topics) as endpoint, client(endpoint) as bus:
            async with bus.get_topic_sender("wide") as sender:
                await sender.send_messages(ServiceBusMessage(bytes(200_000), message_id="a"))
            kept = {
                id(endpoint.queue(f"wide/subscriptions/{name}")._store._blocks[0]._data)
                for name in many
            }
            assert len(kept) == 1

    run(test())


def test_a_subscription_is_managed_as_a_queue_is() -> None:
    async def test() -> None:
        topics = {"news": TopicConfig(subscriptions={"reader": EntityConfig(lock_duration=2)})}
        async with (
            Endpoint(topics=topics) as endpoint,
            client(endpoint) as bus,
            bus.get_topic_sender("news") as sender,
            bus.get_subscription_receiver("news", "reader") as reader,
            bus.get_subscription_receiver("news", "reader", sub_queue="deadletter") as buried,
        ):
            await sender.send_messages(messages("a", "b"))
            first, second = await reader.receive_messages(2, max_wait_time=5), []
            if len(first) < 2:
                second = await reader.receive_messages(1, max_wait_time=5)
            kept, bad = [*first, *second]
            before = kept.locked_until_utc
            assert before is not None
            assert await reader.renew_message_lock(kept) > before
            assert [
                each.sequence_number for each in await reader.peek_messages(5, sequence_number=1)
            ] == [1, 2]
            await reader.dead_letter_message(bad, reason="bad")
            (dead,) = await buried.receive_messages(1, max_wait_time=5)
            assert (dead.message_id, dead.dead_letter_reason) == ("b", "bad")
            await buried.complete_message(dead)
            await reader.complete_message(kept)
            counts = endpoint.counts()["entities"]
            assert counts["news/Subscriptions/reader"]["dead_lettered"] == 1
            assert counts["news/Subscriptions/reader/$DeadLetterQueue"]["completed"] == 1
            assert counts["news"]["received"] == 2

    run(test())


def test_a_queue_may_look_like_a_subscription() -> None:
    async def test() -> None:
        name = "a/Subscriptions/b"
        async with (
            Endpoint([name]) as endpoint,
            client(endpoint) as bus,
            bus.get_queue_sender(name) as sender,
            bus.get_subscription_receiver("a", "b") as receiver,
        ):
            await sender.send_messages(messages("x"))
            assert await ids(receiver, 1) == ["x"]

    run(test())
