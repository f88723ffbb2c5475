"""What no client can do: stop the endpoint, or harm another client."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

import pytest
from azure.servicebus import ServiceBusMessage

from bridge.local.endpoint import EntityConfig
from bridge.local.endpoint.process import RunningEndpoint, run_endpoint
from tests.local_endpoint.conftest import PATIENCE, Bench, Lane, endpoint_of, until
from tests.local_endpoint.conftest import connect as client_of
from tests.local_endpoint.raw import (
    AMQP,
    ANONYMOUS,
    BEGIN,
    OPEN,
    SASL,
    attach,
    attach_coordinator,
    attached,
    connect,
    described,
    disposition,
    flow,
    frame,
    hang_up,
    text,
    transfer,
    until_performative,
)


@pytest.mark.parametrize(
    "rubbish",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x00" * 100,
        b"\xff" * 100_000,
        SASL + b"\xff\xff\xff\xff" * 20,
        SASL + ANONYMOUS + AMQP + b"\x00\x00\x00\x09\x02\x00\x00\x00\xff",
        SASL + ANONYMOUS + AMQP + b"\x00\x00\x00\x01\x02\x00\x00\x00",
        SASL + ANONYMOUS + AMQP + OPEN + BEGIN + transfer(b"x", more=False),
        SASL + ANONYMOUS + AMQP + OPEN + BEGIN + frame(b"\x00" * 5_000),
    ],
    ids=["http", "zeros", "ones", "sasl", "frame", "size", "no-link", "nested"],
)
def test_a_client_that_speaks_no_amqp_is_disconnected(bench: Bench, rubbish: bytes) -> None:
    async def work() -> None:
        reader, writer = await connect(bench)
        writer.write(rubbish)
        with suppress(ConnectionError):
            while await reader.read(4_096):
                pass
        await hang_up(writer)

    bench.run(work())


@pytest.mark.parametrize(
    ("link", "condition"),
    [
        (attach_coordinator(), b"amqp:not-implemented"),
        (attach("queue").replace(b"queue", b"q\xffeue"), b"amqp:decode-error"),
        (attach("queue", receiver=True).replace(b"queue", b"q\xffeue"), b"amqp:decode-error"),
    ],
    ids=["coordinator", "target", "source"],
)
def test_a_link_that_cannot_be_had_is_refused_with_the_reason(
    bench: Bench, link: bytes, condition: bytes
) -> None:
    async def work() -> None:
        reader, writer = await connect(bench)
        writer.write(SASL + ANONYMOUS + AMQP + OPEN + BEGIN + link)
        assert condition in await until_performative(reader, 0x16)
        await hang_up(writer)

    bench.run(work())


@pytest.mark.parametrize(
    "outcome",
    [
        described(0x25, described(0x1D, b"\xa3\x01\xff")),
        described(0x25, described(0x1D, b"\xa3\x01c", b"\xa1\x01\xff")),
        described(0x27, b"A", b"B", b"\xc1\x06\x02\xa3\x01\xff\x54\x01"),
    ],
    ids=["condition", "description", "annotations"],
)
def test_an_outcome_that_cannot_be_read_is_refused_and_the_message_stays_locked(
    bench: Bench, lane: Lane, outcome: bytes
) -> None:
    async def work() -> None:
        await lane.send("a")
        reader, writer = await connect(bench)
        writer.write(SASL + ANONYMOUS + AMQP + OPEN + BEGIN + attach(lane.name, receiver=True))
        writer.write(flow(1, drain=False))
        await until_performative(reader, 0x14)
        writer.write(disposition(0, settled=False, outcome=outcome))
        assert b"amqp:decode-error" in await until_performative(reader, 0x15)
        assert lane.counts()["locked"] == 1
        await hang_up(writer)

    bench.run(work())


def test_a_transfer_in_several_frames_is_stored_when_it_is_whole(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        reader, writer = await attached(bench, lane.name)
        message = b"\x00Ss\xc0\x04\x01\xa1\x01a\x00Su\xa0\x04body"
        pieces = [message[start : start + 5] for start in range(0, len(message), 5)]
        for piece in pieces[:-1]:
            writer.write(transfer(piece, more=True))
            await writer.drain()
        last = transfer(pieces[-1], more=False)
        writer.write(last[:10])
        await asyncio.sleep(0.01)
        assert lane.counts()["received"] == 0
        writer.write(last[10:])
        await until_performative(reader, 0x15)
        got = await lane.one()
        assert (got.message_id, b"".join(got.body)) == ("a", b"body")
        await hang_up(writer)

    bench.run(work())


def test_a_transfer_that_is_cut_is_not_stored(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        await hang_up((await attached(bench, lane.name))[1])
        before = bench.endpoint.counts()["process"]["connections"]
        _, writer = await attached(bench, lane.name)
        writer.write(transfer(b"\x00Su\xb0\x00\x00\x10\x00" + b"x" * 100, more=True))
        await writer.drain()
        await hang_up(writer)
        await until(lambda: bench.endpoint.counts()["process"]["connections"] == before)
        assert lane.counts()["received"] == 0

    bench.run(work())


def test_a_batch_with_one_unreadable_message_is_refused_as_a_whole(
    bench: Bench, lane: Lane
) -> None:
    async def work() -> None:
        good = b"\x00Ss\xc0\x04\x01\xa1\x01a\x00Su\xa0\x04body"
        unreadable = (
            b"",
            b"rubbish",
            b"\x00Ss\xc0\xff\x01\xa1\x01a",
            b"\x00Sp\xc0\x01\x00",
            b"\x00Sp\xc0\x02\x01\xff" + good,
            b"\x00Sr\xc1\x03\x02\xff\xff" + good,
            b"\x00S\x01E" + good,
        )
        for bad in unreadable:
            batch = b"".join(
                b"\x00Su\xa0" + bytes((len(message),)) + message for message in (good, bad)
            )
            reader, writer = await attached(bench, lane.name)
            writer.write(transfer(batch, more=False, message_format=0x80013700))
            assert b"amqp:decode-error" in await until_performative(reader, 0x15)
            await hang_up(writer)
        assert lane.counts()["received"] == 0
        assert lane.counts()["sends_rejected"] == len(unreadable)

    bench.run(work())


def test_a_value_nested_without_end_is_refused(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        reader, writer = await attached(bench, lane.name)
        writer.write(transfer(b"\x00" * 5_000, more=False))
        assert b"amqp:decode-error" in await until_performative(reader, 0x15)
        assert lane.counts()["sends_rejected"] == 1
        await hang_up(writer)

    bench.run(work())


def test_a_failure_of_ours_costs_the_client_that_met_it_its_connection_and_others_nothing(
    bench: Bench,
    lane: Lane,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(data: bytes, message_format: int) -> None:
        raise RuntimeError("a defect")

    async def work() -> None:
        monkeypatch.setattr(bench.endpoint.queue("spare"), "accept", fail)
        reader, writer = await attached(bench, "spare")
        writer.write(transfer(b"\x00Su\xa0\x04body", more=False))
        with suppress(ConnectionError):
            assert await reader.read() == b""
        await hang_up(writer)
        assert [each.message for each in caplog.records] == ["client_failed"]
        await lane.send("a")
        assert (await lane.one()).message_id == "a"

    bench.run(work())


def test_the_message_format_alone_makes_a_batch(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        inner = b"\x00Ss\xc0\x04\x01\xa1\x01a\x00Su\xa0\x04body"
        await lane.sender.send_messages(ServiceBusMessage(inner, message_id="outer"))
        got = await lane.one()
        assert (got.message_id, b"".join(got.body)) == ("outer", inner)

    bench.run(work())


def test_a_hundred_idle_clients_disturb_nobody(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        bare = await asyncio.gather(*(connect(bench) for _ in range(50)))
        half = await asyncio.gather(*(attached(bench, lane.name) for _ in range(50)))
        for number in range(20):
            await lane.send(str(number))
            await lane.receiver.complete_message(await lane.one())
        assert bench.endpoint.counts()["process"]["connections"] >= 100
        await asyncio.gather(*(hang_up(writer) for _, writer in [*bare, *half]))

    bench.run(work())


def test_a_hundred_idle_clients_cost_next_to_no_time() -> None:
    async def work(process: RunningEndpoint) -> None:
        port = int(process.connection_string.split(";", 1)[0].rsplit(":", 1)[1])
        hello = SASL + ANONYMOUS + AMQP + OPEN + BEGIN + attach("jobs", receiver=True)
        idle = await asyncio.gather(
            *(asyncio.open_connection("127.0.0.1", port) for _ in range(100))
        )
        for _, writer in idle:
            writer.write(hello)
        await asyncio.gather(*(until_performative(reader, 0x12) for reader, _ in idle))
        async with (
            client_of(process.connection_string) as client,
            client.get_queue_receiver("jobs") as receiver,
        ):
            before = process.counts()["process"]["cpu_seconds"]
            assert await receiver.receive_messages(1, max_wait_time=1) == []
            counts = process.counts()["process"]
        assert counts["connections"] == 101
        assert counts["cpu_seconds"] - before < 0.1
        await asyncio.gather(*(hang_up(writer) for _, writer in idle))

    with run_endpoint(["jobs"]) as process:
        asyncio.run(asyncio.wait_for(work(process), PATIENCE))


def test_a_receiver_whose_connection_is_cut_waits_no_more(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        receiver = bench.client.get_queue_receiver(lane.name)
        await receiver.__aenter__()
        receiving = asyncio.ensure_future(receiver.receive_messages(1, max_wait_time=5))
        await lane.until(lambda counts: counts["waiting_receivers"] == 1)
        receiver._handler._connection._transport.writer.transport.abort()
        await lane.until(lambda counts: counts["waiting_receivers"] == 0)
        await asyncio.gather(receiving, return_exceptions=True)
        await receiver.close()

    bench.run(work())


def test_a_silent_client_is_given_up_and_a_living_one_kept(bench: Bench) -> None:
    async def work() -> None:
        async with endpoint_of({"q": EntityConfig()}, idle_timeout=0.2) as (endpoint, client):
            reader, writer = await asyncio.open_connection("127.0.0.1", endpoint.port)
            writer.write(SASL + ANONYMOUS + AMQP + OPEN)
            assert b"resource-limit-exceeded" in await until_performative(reader, 0x18)
            await hang_up(writer)
            # Clients of the SDK make keep-alives as long as they are in use.
            async with client.get_queue_receiver("q") as receiver:
                assert await receiver.receive_messages(1, max_wait_time=0.8) == []
                counts = endpoint.counts()["process"]
                assert (counts["connections"], counts["connections_made"]) == (1, 2)

    bench.run(work())


def test_a_client_that_asks_for_it_gets_keep_alives(bench: Bench) -> None:
    async def work() -> None:
        reader, writer = await connect(bench)
        patient = frame(described(0x10, text("me"), b"@", b"@", b"@", b"p\x00\x00\x00\xc8"))
        writer.write(SASL + ANONYMOUS + AMQP + patient)
        await until_performative(reader, 0x10)
        for _ in range(3):
            assert await reader.readexactly(8) == b"\x00\x00\x00\x08\x02\x00\x00\x00"
        await hang_up(writer)

    bench.run(work())


def test_mutated_traffic_never_stops_the_endpoint(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        rng = random.Random(7)
        message = b"\x00Ss\xc0\x04\x01\xa1\x01a\x00Su\xa0\x04body"
        batch = b"\x00Su\xa0" + bytes((len(message),)) + message
        good = BEGIN + attach(lane.name) + transfer(batch, more=False, message_format=0x80013700)

        async def attack() -> None:
            traffic = bytearray(good)
            for _ in range(rng.randint(1, 6)):
                traffic[rng.randrange(len(traffic))] = rng.randrange(256)
            _, writer = await connect(bench)
            writer.write(SASL + ANONYMOUS + AMQP + OPEN + traffic)
            writer.write_eof()
            await hang_up(writer)

        for _ in range(20):
            await asyncio.gather(*(attack() for _ in range(20)))
        await lane.send("alive")
        assert (await lane.receive(1))[0].delivery_count == 0

    bench.run(work())
