"""AMQP frames made by hand, for what no client of good behaviour does."""

from __future__ import annotations

import asyncio
import struct
from contextlib import suppress

from bridge.local.endpoint.wire import uint_at
from tests.local_endpoint.conftest import Bench

SASL = b"AMQP\x03\x01\x00\x00"
AMQP = b"AMQP\x00\x01\x00\x00"
ANONYMOUS = b"\x00\x00\x00\x19\x02\x01\x00\x00\x00SA\xc0\x0c\x01\xa3\tANONYMOUS"


def frame(body: bytes, channel: int = 0) -> bytes:
    """One AMQP frame."""
    return struct.pack(">IBBH", len(body) + 8, 2, 0, channel) + body


def described(number: int, *fields: bytes) -> bytes:
    """A performative."""
    body = b"".join(fields)
    return (
        b"\x00S"
        + bytes((number,))
        + b"\xd0"
        + struct.pack(">II", len(body) + 4, len(fields))
        + body
    )


def text(value: str) -> bytes:
    """A short string."""
    return b"\xa1" + bytes((len(value),)) + value.encode()


OPEN = frame(described(0x10, text("me"), text("host")))
BEGIN = frame(described(0x11, b"@", b"C", b"p\x00\x00\xff\xff", b"p\x00\x00\xff\xff"))


def attach(queue: str, *, receiver: bool = False) -> bytes:
    """The attach of a sender or a receiver, with handle 0."""
    address = described(0x28 if receiver else 0x29, text(queue))
    role, nothing = b"A" if receiver else b"B", b"@"
    source, target = (address, described(0x29)) if receiver else (described(0x28), address)
    count = nothing if receiver else b"C"
    fields = (text("link"), b"C", role, nothing, nothing, source, target, nothing, nothing, count)
    return frame(described(0x12, *fields))


def attach_coordinator() -> bytes:
    """The attach of a sender that wants to control transactions, with handle 0."""
    target = described(0x30, b"@")
    nothing = b"@"
    fields = (text("link"), b"C", b"B", nothing, nothing, described(0x28), target)
    return frame(described(0x12, *fields, nothing, nothing, b"C"))


def flow(credit: int, *, drain: bool) -> bytes:
    """Credit for the receiver with handle 0, which has had no message yet."""
    window, nothing = b"p\x00\x00\xff\xff", b"@"
    given = b"p" + struct.pack(">I", credit)
    fields = (b"C", window, b"C", window, b"C", b"C", given, nothing, b"A" if drain else b"B")
    return frame(described(0x13, *fields))


ACCEPTED = b"\x00S$E"


def disposition(number: int, *, settled: bool, outcome: bytes = ACCEPTED) -> bytes:
    """A receiver settles a delivery."""
    nothing, flag = b"@", b"A" if settled else b"B"
    return frame(described(0x15, b"A", b"R" + bytes((number,)), nothing, flag, outcome))


def transfer(payload: bytes, *, more: bool, message_format: int = 0, number: int = 0) -> bytes:
    """One frame of the transfer with delivery id `number`, on handle 0."""
    head = described(
        0x14,
        b"C",
        b"R" + bytes((number,)),
        b"\xa0\x01t",
        b"p" + struct.pack(">I", message_format),
        b"B",
        b"A" if more else b"B",
    )
    return frame(head + payload)


async def connect(bench: Bench) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A bare socket."""
    return await asyncio.open_connection("127.0.0.1", bench.endpoint.port)


async def attached(bench: Bench, queue: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A socket with one sender attached to `queue`."""
    reader, writer = await connect(bench)
    writer.write(SASL + ANONYMOUS + AMQP + OPEN + BEGIN + attach(queue))
    await until_performative(reader, 0x13)
    return reader, writer


async def until_performative(reader: asyncio.StreamReader, number: int) -> bytes:
    """Read frames up to the first with this performative, and return that."""
    while True:
        head = await reader.readexactly(8)
        if head[:4] == b"AMQP":
            continue
        body = await reader.readexactly(uint_at(head, 0) - 8)
        if head[5] == 0 and body[:3] == b"\x00S" + bytes((number,)):
            return body


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Close a socket that may be closed already."""
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
