"""Duplicate detection: a repeat within the window is accepted and dropped."""

from __future__ import annotations

import asyncio

from azure.servicebus import ServiceBusMessage
from azure.servicebus.amqp import AmqpAnnotatedMessage, AmqpMessageProperties

from tests.local_endpoint.conftest import Bench, Lane


def test_a_repeated_batch_is_accepted_and_dropped(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        await lane.send("a", "b", "c")
        await lane.send("a", "b", "c")
        counts = lane.counts()
        assert (counts["received"], counts["stored"], counts["duplicates_dropped"]) == (6, 3, 3)
        assert counts["sends_accepted"] == 2
        assert [m.message_id for m in await lane.receive(3)] == ["a", "b", "c"]

    bench.run(work())


def test_of_a_batch_only_the_duplicates_are_dropped(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        await lane.send("b")
        await lane.send("a", "b", "a", "c", "c", "d")
        got = await lane.receive(4)
        assert [m.message_id for m in got] == ["b", "a", "c", "d"]
        assert [m.sequence_number for m in got] == [1, 2, 3, 4]
        assert lane.counts()["duplicates_dropped"] == 3

    bench.run(work())


def test_a_message_that_was_completed_is_still_remembered(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        await lane.send("a")
        await lane.receiver.complete_message(await lane.one())
        await lane.send("a")
        assert lane.counts()["duplicates_dropped"] == 1
        assert lane.counts()["active"] == 0

    bench.run(work())


def test_an_id_is_forgotten_after_the_window(bench: Bench) -> None:
    async def work() -> None:
        lane = bench.lane("window")
        await lane.send("a")
        started = asyncio.get_running_loop().time()
        await lane.send("a")
        assert lane.counts()["duplicates_dropped"] == 1
        await lane.until(lambda counts: counts["remembered_ids"] == 0)
        assert asyncio.get_running_loop().time() - started >= 0.4
        await lane.send("a")
        assert lane.counts()["stored"] == 2
        await lane.send("a")
        assert lane.counts()["duplicates_dropped"] == 2

    bench.run(work())


def test_a_repeat_does_not_extend_the_window(bench: Bench) -> None:
    async def work() -> None:
        lane = bench.lane("window")
        loop = asyncio.get_running_loop()
        await lane.send("a")
        started = loop.time()
        while lane.counts()["stored"] == 1:
            await lane.send("a")
            await asyncio.sleep(0.02)
        assert 0.4 <= loop.time() - started < 1.5

    bench.run(work())


def test_without_a_window_nothing_is_dropped(bench: Bench) -> None:
    async def work() -> None:
        lane = bench.lane("open")
        await lane.send("a", "a")
        await lane.send("a")
        assert lane.counts()["stored"] == 3
        assert lane.counts()["remembered_ids"] == 0

    bench.run(work())


def test_messages_without_an_id_are_no_duplicates(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        message = AmqpAnnotatedMessage(data_body=b"x")
        await lane.sender.send_messages([message, message])
        await lane.sender.send_messages(message)
        assert lane.counts()["stored"] == 3

    bench.run(work())


def test_ids_of_different_types_are_different_ids(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        for message_id in ("7", b"7", 7):
            for _ in range(2):
                properties = AmqpMessageProperties(message_id=message_id)
                await lane.sender.send_messages(
                    AmqpAnnotatedMessage(data_body=b"x", properties=properties)
                )
        assert lane.counts()["stored"] == 3
        assert lane.counts()["duplicates_dropped"] == 3

    bench.run(work())


def test_an_id_is_the_same_alone_and_in_a_batch(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        long = "l" * 128
        await lane.sender.send_messages(ServiceBusMessage(b"x", message_id=long))
        await lane.sender.send_messages([ServiceBusMessage(b"y" * 400, message_id=long)])
        assert lane.counts()["duplicates_dropped"] == 1

    bench.run(work())
