"""A receiver that reads nothing costs a bounded number of bytes, and holds up nobody."""

from __future__ import annotations

import asyncio
import math
import socket

from benchmarks.endpoint import send
from bridge.local.endpoint import Endpoint
from bridge.local.endpoint.connection import _WRITE_BUFFER
from bridge.local.endpoint.leaving import SESSION_BACKLOG
from tests.local_endpoint.conftest import connect, until
from tests.local_endpoint.raw import AMQP, ANONYMOUS, BEGIN, OPEN, SASL, attach, flow

MESSAGES = 100_000
#: What the kernel may keep for the two ends of a socket whose reader asked for little.
KERNEL = 8 * 1_048_576
#: Bytes of one message as it is delivered: 300 of body and about 200 around it.
MESSAGE = 500


def test_a_sender_is_not_held_up_by_a_receiver_that_reads_nothing() -> None:
    async def work(deaf: socket.socket) -> None:
        async with Endpoint(["tasks"]) as endpoint:
            queue = endpoint.queue("tasks")
            async with connect(endpoint.connection_string) as client:
                waiting = await send(client, MESSAGES // 2)
                before = set(endpoint._connections)
                deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
                deaf.connect(("127.0.0.1", endpoint.port))
                hello = SASL + ANONYMOUS + AMQP + OPEN + BEGIN + attach("tasks", receiver=True)
                deaf.sendall(hello + flow(MESSAGES, drain=False))
                await until(lambda: queue.counts()["delivered"] > 0)
                (connection,) = set(endpoint._connections) - before
                # The same ids come again.
                queue._duplicates.forget(math.inf)
                sent = waiting + await send(client, MESSAGES // 2)
                counts = queue.counts()
                assert (counts["stored"], counts["active"] + counts["locked"]) == (sent, sent)
                assert connection._transport is not None
                buffered = connection._transport.get_write_buffer_size()
                assert buffered <= _WRITE_BUFFER + SESSION_BACKLOG
                assert 0 < counts["delivered"] * MESSAGE < _WRITE_BUFFER + SESSION_BACKLOG + KERNEL
                async with client.get_queue_receiver("tasks") as receiver:
                    (message,) = await receiver.receive_messages(1, max_wait_time=5)
                    await receiver.complete_message(message)

    with socket.socket() as deaf:
        asyncio.run(work(deaf))
