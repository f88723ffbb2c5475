"""Delivery: who gets which message, how many, and under a lock or not."""

from __future__ import annotations

import asyncio

from azure.servicebus import ServiceBusMessage, ServiceBusReceiveMode

from bridge.local.endpoint.wire import fields, unsigned
from tests.local_endpoint.conftest import Bench, Lane
from tests.local_endpoint.raw import (
    AMQP,
    ANONYMOUS,
    BEGIN,
    OPEN,
    SASL,
    attach,
    connect,
    flow,
    hang_up,
    until_performative,
)

DELETE = ServiceBusReceiveMode.RECEIVE_AND_DELETE


def test_a_receiver_gets_no_more_than_it_asked_for(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        await lane.send(*(str(number) for number in range(50)))
        assert len(await lane.receive(5)) == 5
        # The SDK may have asked for one message when it attached.
        assert lane.counts()["delivered"] <= 6
        assert lane.counts()["locked"] <= 6

    bench.run(work())


def test_a_drained_link_gets_what_there_is_and_gives_back_the_rest(
    bench: Bench, lane: Lane
) -> None:
    async def work() -> None:
        await lane.send("a", "b")
        reader, writer = await connect(bench)
        writer.write(SASL + ANONYMOUS + AMQP + OPEN + BEGIN + attach(lane.name, receiver=True))
        writer.write(flow(5, drain=True))
        for _ in range(2):
            await until_performative(reader, 0x14)
        answer = await until_performative(reader, 0x13)
        at = fields(answer, 3, 7)
        delivery_count, credit = unsigned(answer, at[5]), unsigned(answer, at[6])
        assert (delivery_count, credit) == (5, 0)
        await lane.send("c")
        assert (await lane.one()).message_id == "c"
        await hang_up(writer)

    bench.run(work())


def test_a_waiting_receiver_gets_a_message_at_once(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        waiting = asyncio.create_task(lane.one())
        await lane.until(lambda counts: counts["waiting_receivers"] == 1)
        loop = asyncio.get_running_loop()
        sent = loop.time()
        await lane.send("a")
        assert (await waiting).message_id == "a"
        # The SDK itself waits 0.2 seconds for more.
        assert loop.time() - sent < 1.0

    bench.run(work())


def test_receive_and_delete_removes_as_it_delivers(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        await lane.send(*(str(number) for number in range(10)))
        async with bench.client.get_queue_receiver(lane.name, receive_mode=DELETE) as receiver:
            got = await receiver.receive_messages(10, max_wait_time=3)
        assert [m.message_id for m in got] == [str(number) for number in range(10)]
        counts = lane.counts()
        assert (counts["deleted"], counts["active"], counts["locked"]) == (10, 0, 0)

    bench.run(work())


def test_receivers_take_turns(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        receivers = [
            bench.client.get_queue_receiver(lane.name, receive_mode=DELETE, prefetch_count=100)
            for _ in range(3)
        ]
        await asyncio.gather(*(receiver.__aenter__() for receiver in receivers))
        receiving = [
            asyncio.create_task(receiver.receive_messages(90, max_wait_time=3))
            for receiver in receivers
        ]
        await lane.until(lambda counts: counts["waiting_receivers"] == 3)
        await lane.send(*(str(number) for number in range(90)))
        shares = await asyncio.gather(*receiving)
        assert [len(share) for share in shares] == [30, 30, 30]
        assert len({message.message_id for share in shares for message in share}) == 90
        await asyncio.gather(*(receiver.close() for receiver in receivers))

    bench.run(work())


def test_a_message_larger_than_a_frame_arrives_whole(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        body = bytes(range(256)) * 1_000
        await lane.send("large", body=body)
        assert b"".join((await lane.one()).body) == body

    bench.run(work())


def test_a_closing_receiver_gives_back_what_it_has_not_handed_out(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        await lane.send(*(str(number) for number in range(20)))
        async with bench.client.get_queue_receiver(lane.name, prefetch_count=19) as receiver:
            (first,) = await receiver.receive_messages(1, max_wait_time=3)
            await receiver.complete_message(first)
        assert lane.counts()["released"] >= 1
        got = await lane.receive(19)
        assert [m.message_id for m in got] == [str(number) for number in range(1, 20)]
        assert {m.delivery_count for m in got} == {0}
        assert lane.counts()["abandoned"] == 0

    bench.run(work())


def test_a_receiver_that_does_not_read_slows_no_sender(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        stuck = bench.client.get_queue_receiver(
            lane.name, receive_mode=DELETE, prefetch_count=5_000
        )
        await stuck.__aenter__()
        socket = stuck._handler._connection._transport.writer.transport
        socket.pause_reading()
        body = b"x" * 200_000
        for number in range(60):
            await lane.sender.send_messages(ServiceBusMessage(body, message_id=str(number)))
        counts = lane.counts()
        assert counts["stored"] == 60
        # What the stuck receiver has credit for stays in the queue, not in a buffer without end.
        assert counts["active"] > 0
        socket.resume_reading()
        got = []
        while len(got) < 60:
            got += await stuck.receive_messages(60, max_wait_time=3)
        assert lane.counts()["active"] == 0
        await stuck.close()

    bench.run(work())
