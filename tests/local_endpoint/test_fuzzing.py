"""What the SDK really sends, damaged or cut: it costs the client its connection, nobody else."""

from __future__ import annotations

import asyncio
import logging
import random
import struct
from collections.abc import Iterator
from contextlib import suppress
from socket import SO_LINGER, SOL_SOCKET

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from bridge.local.endpoint import Endpoint, EntityConfig
from tests.local_endpoint.conftest import Bench, connect, until
from tests.local_endpoint.raw import hang_up
from tests.local_endpoint.recording import Said, recorded, repeat

CASES = 500
AT_A_TIME = 25


@pytest.fixture
def endpoint(bench: Bench) -> Iterator[Endpoint]:
    """An endpoint of its own, with a queue that keeps every message."""
    endpoint = Endpoint({"q": EntityConfig(duplicate_window=None), "other": EntityConfig()})
    bench.run(endpoint.start())
    yield endpoint
    bench.run(endpoint.stop())


async def everything(client: ServiceBusClient) -> None:
    """Send one and a batch, receive, renew, settle in each way, peek."""
    async with client.get_queue_sender("q") as sender, client.get_queue_receiver("q") as receiver:
        await sender.send_messages(ServiceBusMessage(b"x", message_id="a"))
        await sender.send_messages([ServiceBusMessage(b"x") for _ in range(3)])
        received = await receiver.receive_messages(1, max_wait_time=3)
        await receiver.renew_message_lock(received[0])
        while len(received) < 4:
            received += await receiver.receive_messages(4, max_wait_time=3)
        await receiver.complete_message(received[0])
        await receiver.abandon_message(received[1])
        await receiver.dead_letter_message(received[2], reason="r")
        await receiver.defer_message(received[3])
        await receiver.peek_messages(2)


def damaged(conversation: list[Said], rng: random.Random) -> list[Said]:
    """The conversation with something wrong with one of its frames, whatever its place."""
    said = list(conversation)
    place = rng.randrange(len(said))
    piece = bytearray(said[place].frame)
    kind = rng.randrange(7)
    if kind == 0:
        for _ in range(rng.randint(1, 4)):
            piece[rng.randrange(len(piece))] = rng.randrange(256)
    elif kind == 1:
        piece[rng.randrange(len(piece))] ^= 1 << rng.randrange(8)
    elif kind == 2:
        del piece[rng.randrange(len(piece)) :]
    elif kind == 3:
        at = rng.randrange(len(piece))
        piece[at:at] = rng.randbytes(rng.randint(1, 40))
    elif kind == 4:
        piece *= 2
    elif kind == 5:
        # Right as a frame, wrong in it.
        at = rng.randrange(min(8, len(piece) - 1), len(piece))
        piece[at:] = rng.randbytes(len(piece) - at)
    else:
        other = rng.randrange(len(said))
        piece = bytearray(said[other].frame)
        said[other] = Said(said[other].heard, said[place].frame)
    said[place] = Said(said[place].heard, bytes(piece))
    return said


async def say(endpoint: Endpoint, conversation: list[Said]) -> None:
    """Say all of it, and wait until the endpoint has closed the connection."""
    reader, writer = await repeat(endpoint, conversation)
    with suppress(ConnectionError, OSError):
        writer.write_eof()
        while await reader.read(65_536):
            pass
    await hang_up(writer)


def test_no_damage_to_any_frame_of_a_client_harms_another(
    bench: Bench, endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        rng = random.Random(11)
        talks = await recorded(endpoint, everything)
        # A sender and a receiver: from the protocol header to the last settlement.
        assert len(talks) == 2
        assert all(len(talk) > 10 for talk in talks)
        async with connect(endpoint.connection_string) as client:
            sender, receiver = client.get_queue_sender("other"), client.get_queue_receiver("other")
            async with sender, receiver:
                for number in range(CASES // AT_A_TIME):
                    cases = [damaged(talks[each % 2], rng) for each in range(AT_A_TIME)]
                    await asyncio.gather(*(say(endpoint, case) for case in cases))
                    await sender.send_messages(ServiceBusMessage(b"x", message_id=str(number)))
                    (message,) = await receiver.receive_messages(1, max_wait_time=3)
                    assert message.message_id == str(number)
                    await receiver.complete_message(message)
                assert endpoint.counts()["process"]["connections"] == 2
        failed = [each for each in caplog.records if each.levelno >= logging.ERROR]
        assert not failed, failed[0].exc_text

    with caplog.at_level(logging.ERROR):
        bench.run(work())


def test_a_batch_whose_connection_is_cut_anywhere_is_not_stored(
    bench: Bench, endpoint: Endpoint
) -> None:
    async def batch(client: ServiceBusClient) -> None:
        async with client.get_queue_sender("q") as sender:
            await sender.send_messages([ServiceBusMessage(bytes(2_000)) for _ in range(100)])

    async def cut(said: list[Said]) -> None:
        connections = endpoint.counts()["process"]["connections"]
        _, writer = await repeat(endpoint, said)
        # Not closed in good order: reset.
        socket = writer.get_extra_info("socket")
        socket.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        await hang_up(writer)
        await until(lambda: endpoint.counts()["process"]["connections"] == connections)

    async def work() -> None:
        (said,) = await recorded(endpoint, batch)
        stored = endpoint.queue("q").counts()["stored"]
        assert stored == 100
        transfers = [place for place, each in enumerate(said) if each.frame[8:11] == b"\x00S\x14"]
        # The token, and a batch too large for one frame.
        assert len(transfers) > 3
        rng = random.Random(5)
        for place in transfers[1:]:
            heard, frame = said[place]
            size = len(frame)
            for cut_at in (0, 4, 8, *(rng.randrange(size) for _ in range(8)), size - 1):
                await cut([*said[:place], Said(heard, frame[:cut_at])])
                assert endpoint.queue("q").counts()["stored"] == stored
        await say(endpoint, said[: transfers[-1] + 1])
        assert endpoint.queue("q").counts()["stored"] == stored + 100

    bench.run(work())
