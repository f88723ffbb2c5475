"""Finding what must be known of one encoded message without decoding it.

That is its id, its time to live and the time that it is scheduled for. Almost every message the SDK
makes has one shape, which `quick_head` reads by position; whatever it does not recognise goes to
`read_head`, which knows all of AMQP. What stands before the body is checked, so that it can be
rewritten for a delivery; the rest is not looked at.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from typing import TypeAlias

from bridge.local.endpoint import wire

_UINT = Struct(">I").unpack_from
_SCHEDULED = b"x-opt-scheduled-enqueue-time"

Head: TypeAlias = tuple[bytes | None, int, int]
"""Of a message its id, its time to live (ms) and when it is scheduled for (ms since 1970); or 0."""


def quick_head(data: bytes, at: int, end: int) -> Head | None:
    """The head of a message of the usual shape; None if it has another one."""
    ttl = 0
    if data[at : at + 4] == b"\x00Sp\xc0" and at + 5 < end:
        after = at + 5 + data[at + 4]
        header = _header_ttl(data[at:after])
        if header is None:
            return None
        at, ttl = after, header
    start = data[at : at + 4]
    if start == b"\x00Ss\xc0" and at + 6 <= end:
        last = at + 5 + data[at + 4]
        at += 6
    elif start == b"\x00Ss\xd0" and at + 12 <= end:
        last = at + 8 + _UINT(data, at + 4)[0]
        at += 12
    else:
        return None
    if last > end:
        return None
    if at + 2 > last or data[at] != 0xA1:
        return None
    after = at + 2 + data[at + 1]
    return (data[at + 2 : after], ttl, 0) if after <= last else None


@lru_cache(maxsize=64)
def _header_ttl(section: bytes) -> int | None:
    """The time to live of a header, which the messages of a batch often share; None: it is none."""
    try:
        return _ttl(section, 3)
    except wire.Malformed:
        return None


def _ttl(data: bytes, at: int) -> int:
    """The time to live in the header whose fields are at `at`, in milliseconds; 0 if none."""
    found = wire.fields(data, at, 5)
    return (wire.unsigned(data, found[2]) or 0) if len(found) > 2 else 0


def read_head(data: bytes, at: int, end: int) -> Head:
    """What must be known of the message in `data[at:end]`. Raises wire.Malformed.

    Its id is bytes that are equal if and only if the ids are: a string is its UTF-8, the other
    types of id are preceded by a byte no UTF-8 has.
    """
    if at >= end:
        raise wire.Malformed("a message is empty")
    found: bytes | None = None
    ttl = due = 0
    for number, _, value, _ in wire.sections(data, at, end):
        if number < wire.HEADER:
            raise wire.Malformed("a section of a message was expected")
        if number == wire.HEADER:
            ttl = _ttl(data, value)
        if number == wire.MESSAGE_ANNOTATIONS:
            due = _due(data, value)
        if number == wire.PROPERTIES:
            first = wire.fields(data, value, 1)
            found = _id_key(data, first[0]) if first else None
        if number >= wire.PROPERTIES:
            return found, ttl, due
    raise wire.Malformed("a message has no body")


def _due(data: bytes, at: int) -> int:
    """When the message with the annotations at `at` is scheduled for; 0 if it is not."""
    for key, value, _ in wire.entries(data, at):
        if data[key] in (0xA3, 0xB3):
            start, end = wire.payload(data, key)
            if data[start:end] == _SCHEDULED:
                return wire.moment(data, value) or 0
    return 0


def _id_key(data: bytes, at: int) -> bytes | None:
    code = data[at]
    if code == 0x40:
        return None
    if code in (0xA1, 0xB1):
        start, end = wire.payload(data, at)
        return data[start:end]
    if code in (0xA0, 0xB0):
        start, end = wire.payload(data, at)
        return b"\xffb" + data[start:end]
    if code == 0x98:
        return b"\xffu" + data[at + 1 : at + 17]
    number = wire.unsigned(data, at)
    return None if number is None else b"\xffn%d" % number
