"""Faults of a send: what the SDK makes of them, what is stored, and what is counted."""

from __future__ import annotations

import asyncio
import time

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.amqp import AmqpAnnotatedMessage, AmqpMessageProperties
from azure.servicebus.exceptions import ServiceBusError, ServiceBusServerBusyError

from tests.local_endpoint.conftest import Bench, until
from tests.local_endpoint.faults.conftest import HANGS, LOSES_CONNECTIONS, Stage, outcome
from tests.local_endpoint.raw import attached, hang_up, transfer, until_performative

pytestmark = LOSES_CONNECTIONS

CASES = [
    ("reject", {}, "ServiceBusServerBusyError", 0),
    ("reject", {"condition": "amqp:internal-error"}, "ServiceBusError", 0),
    ("reject", {"condition": "com.microsoft:timeout"}, "OperationTimeoutError", 0),
    ("reject", {"condition": "amqp:not-found"}, "MessagingEntityNotFoundError", 0),
    ("reject", {"description": None}, "ServiceBusServerBusyError", 0),
    ("reject", {"info": None}, HANGS, 0),
    ("reject", {"info": {}}, HANGS, 0),
    ("throttle", {"for_seconds": 60}, "ServiceBusServerBusyError", 0),
    ("fill", {}, "ServiceBusQuotaExceededError", 0),
    ("release", {}, HANGS, 0),
    ("modify", {}, HANGS, 0),
    ("drop_before", {}, "ServiceBusConnectionError", 0),
    ("drop_after", {}, "ServiceBusConnectionError", 1),
    ("never", {}, HANGS, 1),
    ("never", {"store": False}, HANGS, 0),
    ("detach", {}, "ServiceBusConnectionError", 1),
    ("detach", {"store": False}, "ServiceBusConnectionError", 0),
]


@pytest.mark.parametrize(("action", "fields", "becomes", "stored"), CASES)
def test_the_sdk_makes_of_a_struck_send(
    bench: Bench,
    stage: Stage,
    action: str,
    fields: dict[str, object],
    becomes: str,
    stored: int,
) -> None:
    async def work() -> None:
        name = stage.set(on="send", do=action, **fields)
        found = await stage.send("struck", becomes)
        assert (found, stage.stored(), stage.counted(name)) == (becomes, stored, (1, 1))
        bench.endpoint.faults.remove(name)
        await stage.lane.send("next")
        assert stage.stored() == stored + 1

    bench.run(work())


@pytest.mark.parametrize(
    ("action", "state"),
    # The SDK hangs with either; the difference is in the disposition only.
    [("release", b"\x00S\x26"), ("modify", b"\x00S\x27")],
)
def test_an_outcome_that_gives_a_send_back_is_the_one_that_was_asked_for(
    bench: Bench, stage: Stage, action: str, state: bytes
) -> None:
    async def work() -> None:
        stage.set(on="send", do=action)
        reader, writer = await attached(bench, stage.lane.name)
        writer.write(transfer(b"\x00Su\xa0\x04body", more=False))
        _, found, fields = (await until_performative(reader, 0x15)).partition(state)
        # The first field of `modified` is that the delivery failed: true, where there are any.
        assert found
        assert (b"A" in fields) == (action == "modify")
        assert stage.stored() == 0
        await hang_up(writer)

    bench.run(work())


@pytest.mark.parametrize(
    ("action", "fields", "becomes"),
    [
        ("never", {}, "OperationTimeoutError"),
        ("release", {}, HANGS),
        ("modify", {}, HANGS),
        ("reject", {"info": None}, HANGS),
    ],
)
def test_a_timeout_of_the_sdk_ends_a_wait_for_no_answer_but_not_for_one_it_cannot_read(
    bench: Bench, stage: Stage, action: str, fields: dict[str, object], becomes: str
) -> None:
    async def work() -> None:
        stage.set(on="send", do=action, **fields)
        sending = stage.lane.sender.send_messages(ServiceBusMessage(b"x"), timeout=0.3)
        assert await outcome(sending, becomes) == becomes

    bench.run(work())


def test_a_batch_is_refused_or_stored_as_a_whole(bench: Bench, stage: Stage) -> None:
    async def work() -> None:
        refused = stage.set(on="send", do="reject")
        lost = stage.set(on="send", do="drop_after")
        with pytest.raises(ServiceBusServerBusyError):
            await stage.lane.send("a", "b", "c")
        assert (stage.stored(), stage.counted(refused)) == (0, (1, 1))
        assert await outcome(stage.lane.send("a", "b", "c"), "ok") == "ServiceBusConnectionError"
        assert (stage.stored(), stage.counted(lost)) == (3, (1, 1))

    bench.run(work())


def test_a_late_answer_comes_when_it_is_due_to_what_was_stored_at_once(
    bench: Bench, stage: Stage
) -> None:
    async def work() -> None:
        name = stage.set(on="send", do="late", seconds=0.4)
        start = time.monotonic()
        sending = asyncio.ensure_future(stage.lane.send("a"))
        await until(lambda: stage.stored() == 1)
        assert not sending.done()
        await sending
        assert time.monotonic() - start >= 0.4
        assert stage.counted(name) == (1, 1)

    bench.run(work())


def test_a_refusal_of_the_queue_itself_is_late_too(bench: Bench, stage: Stage) -> None:
    async def work() -> None:
        stage.set(on="send", do="late", seconds=0.2)
        with pytest.raises(ServiceBusError, match="128"):
            await stage.lane.sender.send_messages(
                AmqpAnnotatedMessage(
                    data_body=b"x", properties=AmqpMessageProperties(message_id="i" * 129)
                )
            )
        assert stage.stored() == 0

    bench.run(work())


def test_an_error_says_what_it_was_told_to_say(bench: Bench, stage: Stage) -> None:
    async def work() -> None:
        stage.set(on="send", do="reject", condition="com.example:odd", description="Just so.")
        with pytest.raises(ServiceBusError, match=r"Just so\. Error condition: com\.example:odd\."):
            await stage.lane.send("a")
        stage.set(on="send", do="throttle")
        with pytest.raises(ServiceBusServerBusyError, match="Error code: 50009"):
            await stage.lane.send("b")

    bench.run(work())


def test_what_a_client_sent_after_the_cut_is_not_stored(bench: Bench, stage: Stage) -> None:
    async def work() -> None:
        _, writer = await attached(bench, stage.lane.name)
        name = stage.set(on="send", do="drop_before")
        connections = bench.endpoint.counts()["process"]["connections"]
        # Both transfers arrive in the same segment.
        message = b"\x00Ss\xc0\x04\x01\xa1\x01a\x00Su\xa0\x04body"
        writer.write(transfer(message, more=False) + transfer(message, more=False, number=1))
        await until(lambda: bench.endpoint.counts()["process"]["connections"] < connections)
        assert (stage.stored(), stage.counted(name)) == (0, (1, 1))
        await hang_up(writer)

    bench.run(work())
