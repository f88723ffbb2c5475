"""Faults before the first message: of a connection, a token, an attach, and of what is attached."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusSender
from azure.servicebus.exceptions import (
    MessagingEntityDisabledError,
    ServiceBusAuthenticationError,
    ServiceBusConnectionError,
)

from bridge.local.endpoint import EntityConfig
from tests.local_endpoint.conftest import Bench, Lane, endpoint_of, until
from tests.local_endpoint.faults.conftest import HANGS, LOSES_CONNECTIONS, Stage, outcome

pytestmark = LOSES_CONNECTIONS

# What is late is later than the half second that the SDK takes to open anyway.
CASES = [
    ("attach", "reject", {}, "ServiceBusServerBusyError"),
    ("attach", "reject", {"condition": "amqp:not-found"}, "MessagingEntityNotFoundError"),
    ("attach", "throttle", {}, "ServiceBusServerBusyError"),
    ("attach", "refuse", {}, "ServiceBusAuthorizationError"),
    ("attach", "late", {"seconds": 1.0}, "ok"),
    ("attach", "never", {}, HANGS),
    ("attach", "drop_before", {}, "ServiceBusConnectionError"),
    ("attach", "drop_after", {}, "ServiceBusConnectionError"),
    ("attach", "detach", {}, "ServiceBusConnectionError"),
    ("attach", "disable", {}, "MessagingEntityDisabledError"),
    ("token", "refuse", {}, "ServiceBusAuthenticationError"),
    ("token", "reject", {}, "ServiceBusAuthenticationError"),
    ("token", "throttle", {}, "ServiceBusAuthenticationError"),
    ("token", "late", {"seconds": 1.0}, "ok"),
    ("token", "never", {}, HANGS),
    ("token", "drop_before", {}, "ServiceBusConnectionError"),
    ("token", "drop_after", {}, "ServiceBusConnectionError"),
    ("token", "detach", {}, HANGS),
    ("connect", "refuse", {}, "ServiceBusConnectionError"),
    ("connect", "drop_before", {}, "ServiceBusConnectionError"),
    ("connect", "late", {"seconds": 1.0}, "ok"),
    ("connect", "never", {}, HANGS),
]

#: What the SDK may make of a link that has been detached since it was used last.
ENDED = ("ServiceBusConnectionError", "MessagingEntityDisabledError")


@asynccontextmanager
async def new_sender(bench: Bench, lane: Lane) -> AsyncIterator[ServiceBusSender]:
    """A sender that has not been opened."""
    sender = bench.client.get_queue_sender(lane.name)
    try:
        yield sender
    finally:
        await sender.close()


@pytest.mark.parametrize(("on", "action", "fields", "becomes"), CASES)
def test_the_sdk_makes_of_a_struck_beginning(
    bench: Bench, stage: Stage, on: str, action: str, fields: dict[str, object], becomes: str
) -> None:
    async def work() -> None:
        entity = {"entity": None} if on == "connect" else {}
        name = stage.set(on=on, do=action, **fields | entity)
        before = stage.counted(name)
        start = time.monotonic()
        async with new_sender(bench, stage.lane) as sender:
            sending = sender.send_messages(ServiceBusMessage(b"x", message_id="a"))
            assert await outcome(sending, becomes) == becomes
            assert time.monotonic() - start >= fields.get("seconds", 0)
            assert stage.stored() == (becomes == "ok")
            assert tuple(stage.counted(name)) == (before[0] + 1, before[1] + 1)
            bench.endpoint.faults.remove(name)
            await sender.send_messages(ServiceBusMessage(b"x", message_id="b"))
        assert stage.stored() == 1 + (becomes == "ok")

    bench.run(work())


def test_a_refused_token_says_why(bench: Bench, stage: Stage) -> None:
    async def work() -> None:
        stage.set(on="token", do="refuse", times=None)
        async with new_sender(bench, stage.lane) as sender:
            with pytest.raises(ServiceBusAuthenticationError) as caught:
                await sender.send_messages(ServiceBusMessage(b"x"))
            assert "amqp:client-error" in str(caught.value)

    bench.run(work())


def test_a_token_for_another_entity_is_not_struck(bench: Bench, stage: Stage) -> None:
    async def work() -> None:
        name = stage.set(on="token", do="refuse", entity="spare")
        async with new_sender(bench, stage.lane) as sender:
            await sender.send_messages(ServiceBusMessage(b"x"))
        assert stage.counted(name) == (0, 0)

    bench.run(work())


def test_a_disabled_entity_detaches_and_refuses_until_the_fault_is_removed(
    bench: Bench, stage: Stage
) -> None:
    async def work() -> None:
        name = stage.set(do="disable")
        # The sender and the receiver of the stage.
        assert stage.counted(name) == (2, 2)
        # The first send meets the detach, whose reason the SDK loses; the second attaches anew.
        assert await stage.send("a", "an error") in ENDED
        assert await stage.send("b", "an error") == "MessagingEntityDisabledError"
        with pytest.raises(MessagingEntityDisabledError):
            await stage.lane.receiver.receive_messages(1, max_wait_time=1)
        assert stage.status(name)["active"]
        bench.endpoint.faults.remove(name)
        await stage.lane.send("c")
        assert (await stage.lane.one()).message_id == "c"

    bench.run(work())


def test_an_entity_may_be_disabled_for_one_direction(bench: Bench, stage: Stage) -> None:
    async def work() -> None:
        await stage.lane.send("a")
        name = stage.set(do="disable", on="send")
        assert stage.counted(name) == (1, 1)
        assert await stage.send("b", "an error") in ENDED
        assert (await stage.lane.one()).message_id == "a"

    bench.run(work())


def test_links_are_detached_at_once(bench: Bench, stage: Stage) -> None:
    async def work() -> None:
        name = stage.set(on="now", do="detach")
        assert stage.counted(name) == (2, 2)
        assert not stage.status(name)["active"]
        # The SDK notices when it next reads, and attaches again at the call after that.
        assert await stage.send("a", "ok") in ("ok", "ServiceBusConnectionError")
        await stage.lane.send("b")

    bench.run(work())


def test_every_connection_can_be_cut_at_once(bench: Bench) -> None:
    async def work() -> None:
        async with endpoint_of({"q": EntityConfig()}) as (endpoint, client):
            endpoint.faults.set(name="silent", on="send", do="never", store=False)
            async with client.get_queue_sender("q") as sender, client.get_queue_receiver("q"):
                sending = asyncio.ensure_future(sender.send_messages(ServiceBusMessage(b"x")))
                await until(lambda: endpoint.counts()["faults_done"] == {"silent": 1})
                assert endpoint.cut_connections() == 2
                with pytest.raises(ServiceBusConnectionError):
                    await sending
                await sender.send_messages(ServiceBusMessage(b"x"))
            assert endpoint.queue("q").counts()["stored"] == 1

    bench.run(work())
