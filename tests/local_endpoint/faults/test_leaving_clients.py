"""Clients and faults that go away in the middle: nothing is kept, nothing is answered any more."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest
from azure.servicebus import ServiceBusMessage

from bridge.local.endpoint import Endpoint, EntityConfig
from bridge.local.endpoint.arriving import ArrivingLink
from bridge.local.endpoint.connection import ClientConnection
from tests.local_endpoint.conftest import Bench, connect, until
from tests.local_endpoint.faults.conftest import LOSES_CONNECTIONS, Stage
from tests.local_endpoint.raw import (
    AMQP,
    ANONYMOUS,
    BEGIN,
    OPEN,
    SASL,
    attach,
    attached,
    described,
    disposition,
    flow,
    frame,
    hang_up,
    transfer,
    until_performative,
)
from tests.local_endpoint.raw import connect as connect_bare

pytestmark = LOSES_CONNECTIONS

MESSAGE = transfer(b"\x00Ss\xc0\x04\x01\xa1\x01a\x00Su\xa0\x04body", more=False)


def alive(kind: type[object]) -> set[weakref.ref[object]]:
    """What there is of a class."""
    gc.collect()
    return {weakref.ref(each) for each in gc.get_objects() if isinstance(each, kind)}


@pytest.mark.parametrize(
    "fields",
    [
        {"do": "never"},
        {"do": "never", "store": False},
        {"do": "late", "seconds": 3600},
        {"do": "detach"},
        {"do": "drop_after"},
    ],
    ids=lambda fields: fields["do"],
)
def test_a_client_that_leaves_a_struck_send_leaves_nothing_behind(
    bench: Bench, stage: Stage, fields: dict[str, object]
) -> None:
    async def work() -> None:
        before = alive(ClientConnection), alive(ArrivingLink)
        timers = scheduled()
        name = stage.set(on="send", times=None, **fields)
        for _ in range(5):
            _, writer = await attached(bench, stage.lane.name)
            writer.write(MESSAGE)
            done = stage.counted(name)[1]
            await until(lambda done=done: stage.counted(name)[1] == done + 1)
            await hang_up(writer)
        await until(lambda: (alive(ClientConnection), alive(ArrivingLink)) == before)
        assert scheduled() <= timers

    bench.run(work())


def scheduled() -> int:
    """How many calls the loop is to make in an hour or so."""
    loop = asyncio.get_running_loop()
    far = loop.time() + 600
    return sum(
        not each.cancelled() and each.when() > far
        for each in loop._scheduled  # type: ignore[attr-defined]
    )


@pytest.mark.parametrize("on", ["attach", "token", "settle", "deliver"])
def test_a_late_answer_to_a_client_that_has_gone_is_not_given(
    bench: Bench, stage: Stage, on: str
) -> None:
    async def work() -> None:
        async with connect(bench.endpoint.connection_string) as client:
            if on in ("settle", "deliver"):
                await stage.lane.send("a")
            name = stage.set(on=on, do="late", seconds=0.3)
            receiver = client.get_queue_receiver(stage.lane.name)

            async def use() -> None:
                (message,) = await receiver.receive_messages(1, max_wait_time=5)
                await receiver.complete_message(message)

            using = asyncio.ensure_future(use())
            await until(lambda: stage.counted(name) == (1, 1))
            connections = bench.endpoint.counts()["process"]["connections"]
            using.cancel()
            await asyncio.gather(using, return_exceptions=True)
            await receiver.close()
            await until(lambda: bench.endpoint.counts()["process"]["connections"] < connections)
        await asyncio.sleep(0.4)  # the answer would have been due
        await stage.lane.send("b")

    bench.run(work())


def test_a_client_that_detaches_while_its_answer_is_late_is_not_answered(
    bench: Bench, stage: Stage
) -> None:
    async def work() -> None:
        name = stage.set(on="send", do="late", seconds=0.2)
        reader, writer = await attached(bench, stage.lane.name)
        writer.write(MESSAGE)
        await until(lambda: stage.counted(name) == (1, 1))
        # A closing detach of handle 0; the link is freed as it is answered.
        writer.write(frame(described(0x16, b"C", b"A")))
        await until_performative(reader, 0x16)
        await asyncio.sleep(0.3)  # the answer would have been due
        await hang_up(writer)
        await stage.lane.send("b")
        assert stage.stored() == 2

    bench.run(work())


@pytest.mark.parametrize("fields", [{"do": "never"}, {"do": "late", "seconds": 0.2}])
def test_a_client_that_settles_for_good_while_its_answer_is_due_is_forgotten(
    bench: Bench, stage: Stage, fields: dict[str, object]
) -> None:
    async def work() -> None:
        await stage.lane.send("a")
        name = stage.set(on="settle", times=None, **fields)
        reader, writer = await connect_bare(bench)
        beginning = attach(stage.lane.name, receiver=True)
        writer.write(SASL + ANONYMOUS + AMQP + OPEN + BEGIN + beginning + flow(1, drain=False))
        await until_performative(reader, 0x14)
        writer.write(disposition(0, settled=False))
        await until(lambda: stage.counted(name) == (1, 1))
        writer.write(disposition(0, settled=True))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.4):
                await until_performative(reader, 0x15)
        assert stage.counted(name) == (1, 1)
        assert stage.lane.counts()["completed"] == 1
        await hang_up(writer)

    bench.run(work())


def test_a_fault_that_is_removed_in_mid_flight_still_gives_the_answer_it_owes(
    bench: Bench, stage: Stage
) -> None:
    async def work() -> None:
        name = stage.set(on="send", do="late", seconds=0.3, times=None)
        sending = asyncio.ensure_future(stage.lane.send("a"))
        await until(lambda: stage.counted(name) == (1, 1))
        assert bench.endpoint.faults.remove(name)["done"] == 1
        assert not sending.done()
        await sending
        assert await stage.send("b") == "ok"

    bench.run(work())


def test_a_fault_that_is_removed_in_mid_flight_leaves_its_silence(
    bench: Bench, stage: Stage
) -> None:
    async def work() -> None:
        name = stage.set(on="send", do="never", times=None)
        reader, writer = await attached(bench, stage.lane.name)
        writer.write(MESSAGE)
        await until(lambda: stage.counted(name) == (1, 1))
        bench.endpoint.faults.remove(name)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await until_performative(reader, 0x15)
        await hang_up(writer)

    bench.run(work())


def test_an_endpoint_stops_with_answers_that_are_still_to_come(bench: Bench) -> None:
    async def work() -> None:
        endpoint = Endpoint({"q": EntityConfig()})
        await endpoint.start()
        timers = scheduled()
        for on in ("send", "connect"):
            endpoint.faults.set(name=on, on=on, do="late", seconds=3600, after=int(on == "connect"))
        async with connect(endpoint.connection_string) as client:
            sender = client.get_queue_sender("q")
            sending = asyncio.ensure_future(sender.send_messages(ServiceBusMessage(b"x")))
            await until(lambda: endpoint.faults.done()["send"] == 1)
            _, writer = await asyncio.open_connection("127.0.0.1", endpoint.port)
            await until(lambda: endpoint.faults.done()["connect"] == 1)
            assert scheduled() > timers
            await endpoint.stop()
            assert scheduled() <= timers
            await asyncio.gather(sending, return_exceptions=True)
            await hang_up(writer)
            await sender.close()

    bench.run(work())


def test_a_connection_that_is_not_listened_to_may_leave(bench: Bench, stage: Stage) -> None:
    async def work() -> None:
        before = bench.endpoint.counts()["process"]["connections"]
        stage.set(on="connect", do="never", entity=None)
        _, writer = await asyncio.open_connection("127.0.0.1", bench.endpoint.port)
        writer.write(b"AMQP\x03\x01\x00\x00" * 20_000)
        await until(lambda: bench.endpoint.counts()["process"]["connections"] == before + 1)
        await hang_up(writer)
        await until(lambda: bench.endpoint.counts()["process"]["connections"] == before)

    bench.run(work())
