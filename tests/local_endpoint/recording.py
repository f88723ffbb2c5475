"""What the SDK really sends: its side of a conversation with an endpoint, frame by frame."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from azure.servicebus.aio import ServiceBusClient

from bridge.local.endpoint import Endpoint
from tests.local_endpoint.conftest import connect
from tests.local_endpoint.raw import hang_up

#: Seconds to wait for an answer that may not come, since the question was damaged.
ANSWER = 0.05


class Said(NamedTuple):
    """A frame or a protocol header, and how many bytes of answers had come before it."""

    heard: int
    frame: bytes


async def recorded(
    endpoint: Endpoint, talk: Callable[[ServiceBusClient], Awaitable[None]]
) -> list[list[Said]]:
    """What a client has sent over each of its connections while it did `talk`, in their order."""
    chunks: list[list[Said]] = []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said: list[Said] = []
        chunks.append(said)
        answers, onward = await asyncio.open_connection("127.0.0.1", endpoint.port)
        heard = 0

        async def back() -> None:
            nonlocal heard
            with suppress(ConnectionError):
                while data := await answers.read(65_536):
                    heard += len(data)
                    writer.write(data)
            await hang_up(writer)

        backward = asyncio.create_task(back())
        while data := await reader.read(65_536):
            said.append(Said(heard, data))
            onward.write(data)
        await hang_up(onward)
        await backward

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    there = endpoint.connection_string.replace(f":{endpoint.port}", f":{port}")
    async with server, connect(there) as client:
        await talk(client)
    return [_frames(said) for said in chunks]


def _frames(chunks: list[Said]) -> list[Said]:
    found: list[Said] = []
    waiting = b""
    for heard, data in chunks:
        waiting += data
        while len(waiting) >= 8:
            header = waiting.startswith(b"AMQP")
            size = 8 if header else int.from_bytes(waiting[:4], "big")
            if len(waiting) < size:
                break
            found.append(Said(heard, waiting[:size]))
            waiting = waiting[size:]
    return found


async def repeat(
    endpoint: Endpoint, conversation: Sequence[Said]
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Say the same again on a new connection, each frame after the answers that preceded it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", endpoint.port)
    heard = 0
    with suppress(ConnectionError, TimeoutError):
        for expected, frame in conversation:
            async with asyncio.timeout(ANSWER):
                while heard < expected and (data := await reader.read(65_536)):
                    heard += len(data)
            writer.write(frame)
            await writer.drain()
    return reader, writer
