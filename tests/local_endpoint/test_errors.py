"""Each error of the endpoint: its AMQP condition, and the exception the SDK makes of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.amqp import AmqpAnnotatedMessage, AmqpMessageProperties
from azure.servicebus.exceptions import ServiceBusError

from bridge.local.endpoint import Endpoint, EntityConfig
from bridge.local.endpoint.config import TopicConfig
from tests.local_endpoint.conftest import PATIENCE, connect

PAGE = Path(__file__).parents[2] / "docs" / "local-endpoint.md"

QUEUES = {
    "tasks": EntityConfig(max_batch_count=2),
    "narrow": EntityConfig(max_size_bytes=1_000),
}
TOPICS = {"news": TopicConfig(subscriptions={"reader": EntityConfig()})}


async def send(bus: ServiceBusClient, entity: str, *messages: ServiceBusMessage) -> None:
    async with bus.get_queue_sender(entity) as sender:
        await sender.send_messages(list(messages) if len(messages) > 1 else messages[0])


async def unknown_queue(bus: ServiceBusClient) -> None:
    await send(bus, "nowhere", ServiceBusMessage(b"x"))


async def unknown_subscription(bus: ServiceBusClient) -> None:
    await bus.get_subscription_receiver("news", "nobody").__aenter__()


async def receive_from_topic(bus: ServiceBusClient) -> None:
    await bus.get_queue_receiver("news").__aenter__()


async def send_to_subscription(bus: ServiceBusClient) -> None:
    await send(bus, "news/Subscriptions/reader", ServiceBusMessage(b"x"))


async def send_to_dead_letters(bus: ServiceBusClient) -> None:
    await send(bus, "tasks/$DeadLetterQueue", ServiceBusMessage(b"x"))


async def receive_a_session(bus: ServiceBusClient) -> None:
    await bus.get_queue_receiver("tasks", session_id="s").__aenter__()


async def send_too_large(bus: ServiceBusClient) -> None:
    await send(bus, "tasks", ServiceBusMessage(bytes(262_144)))


async def send_too_many(bus: ServiceBusClient) -> None:
    await send(bus, "tasks", *(ServiceBusMessage(b"x") for _ in range(3)))


async def send_to_full(bus: ServiceBusClient) -> None:
    await send(bus, "narrow", ServiceBusMessage(bytes(1_000)))


async def send_long_id(bus: ServiceBusClient) -> None:
    async with bus.get_queue_sender("tasks") as sender:
        properties = AmqpMessageProperties(message_id="i" * 129)
        await sender.send_messages(AmqpAnnotatedMessage(data_body=b"x", properties=properties))


async def renew_what_is_settled(bus: ServiceBusClient) -> None:
    async with bus.get_queue_receiver("tasks") as receiver:
        await send(bus, "tasks", ServiceBusMessage(b"x"))
        (message,) = await receiver.receive_messages(1, max_wait_time=3)
        await receiver.complete_message(message)
        message._settled = False
        await receiver.renew_message_lock(message)


async def receive_what_is_not_deferred(bus: ServiceBusClient) -> None:
    async with bus.get_queue_receiver("tasks") as receiver:
        await receiver.receive_deferred_messages([10_000])


Act = Callable[[ServiceBusClient], Awaitable[None]]
CASES: list[tuple[Act, str, str, str]] = [
    (unknown_queue, "amqp:not-found", "MessagingEntityNotFoundError", "'nowhere' could not be"),
    (unknown_subscription, "amqp:not-found", "MessagingEntityNotFoundError", "/nobody'"),
    (receive_from_topic, "amqp:not-found", "MessagingEntityNotFoundError", "It is a topic"),
    (send_to_subscription, "amqp:not-allowed", "ServiceBusError", "send to its topic"),
    (send_to_dead_letters, "amqp:not-allowed", "ServiceBusError", "dead-letter queue"),
    (receive_a_session, "amqp:not-allowed", "ServiceBusError", "does not require sessions"),
    (
        send_too_large,
        "amqp:link:message-size-exceeded",
        "MessageSizeExceededError",
        "(size:262144 bytes) currently allowed",
    ),
    (send_too_many, "amqp:internal-error", "ServiceBusError", "please retry"),
    (
        send_to_full,
        "amqp:resource-limit-exceeded",
        "ServiceBusQuotaExceededError",
        "Max entity size in bytes: 1000. ",
    ),
    (send_long_id, "com.microsoft:argument-error", "ServiceBusError", "128 characters"),
    (
        renew_what_is_settled,
        "com.microsoft:message-lock-lost",
        "MessageLockLostError",
        "lock supplied",
    ),
    (
        receive_what_is_not_deferred,
        "com.microsoft:message-not-found",
        "MessageNotFoundError",
        "10000",
    ),
]


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """The loop of the endpoint and of what is tried with it."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def endpoint(runner: asyncio.Runner) -> Iterator[Endpoint]:
    """An endpoint for all cases."""
    endpoint = Endpoint(QUEUES, topics=TOPICS)
    runner.run(endpoint.start())
    yield endpoint
    runner.run(endpoint.stop())


@pytest.mark.parametrize(("act", "condition", "becomes", "says"), CASES)
def test_an_error_is_what_the_table_says(
    act: Act,
    condition: str,
    becomes: str,
    says: str,
    runner: asyncio.Runner,
    endpoint: Endpoint,
) -> None:
    async def work() -> None:
        async with asyncio.timeout(PATIENCE), connect(endpoint.connection_string) as bus:
            with pytest.raises(ServiceBusError) as caught:
                await act(bus)
        text = str(caught.value)
        assert type(caught.value).__name__ == becomes
        assert f"Error condition: {condition}." in text
        assert says in text
        assert re.search(
            r" TrackingId:[0-9a-f-]{36}, SystemTracker:\S+, Timestamp:\d{4}-\d\d-\d\dT[\d:]{8}\b",
            text,
        )

    runner.run(work())


def test_the_page_has_the_same_table() -> None:
    section = PAGE.read_text("utf-8").split("\n## Errors\n", 1)[1].split("\n## ", 1)[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    for _, condition, becomes, _ in CASES:
        assert [row for row in rows if f"`{condition}`" in row and f"`{becomes}`" in row]
    seen = {condition for _, condition, _, _ in CASES}
    # These two no call of the SDK brings about; bare sockets do, in the tests of robustness.
    seen |= {"amqp:decode-error", "amqp:not-implemented"}
    assert {found[1] for row in rows if (found := re.search(r"`([a-z.]+:\S+)`", row))} == seen
