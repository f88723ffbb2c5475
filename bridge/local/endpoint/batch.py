"""Cutting a transfer into its messages, and finding the message id of each, without decoding.

A batch of the service has message format 0x80013700: its body is a list of data sections, each of
them one encoded message. Almost every message the SDK makes has one shape, which `_quick_id` reads
by position; whatever it does not recognise goes to `message_id`, which knows all of AMQP. What
stands before the body is checked, so that it can be rewritten for a delivery; the rest is passed on
as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from struct import Struct

from bridge.local.endpoint import wire
from bridge.local.endpoint.config import MAX_MESSAGE_ID_LENGTH, EntityConfig
from bridge.local.endpoint.outcomes import (
    ARGUMENT_ERROR,
    DECODE_ERROR,
    INTERNAL_ERROR,
    MESSAGE_SIZE_EXCEEDED,
    NOT_IMPLEMENTED,
    Refused,
)

BATCH_FORMAT = 0x80013700

_UINT = Struct(">I").unpack_from
_SCHEDULED = b"x-opt-scheduled-enqueue-time"


@dataclass(frozen=True, slots=True)
class Arrival:
    """The messages of one transfer: message i is `data[starts[i]:ends[i]]`, with id `ids[i]`."""

    data: bytes
    starts: list[int]
    ends: list[int]
    ids: list[bytes | None]


def read_transfer(data: bytes, message_format: int, config: EntityConfig) -> Arrival:
    """The messages in one transfer. Raises Refused if any of it cannot be taken."""
    batch = message_format == BATCH_FORMAT
    limit = config.max_batch_bytes if batch else config.message_bytes
    if len(data) > limit:
        raise too_large(len(data), limit)
    try:
        if batch:
            starts, ends, ids = _split(data)
        else:
            starts, ends, ids = [0], [len(data)], [message_id(data, 0, len(data))]
    except wire.Malformed as error:
        raise Refused(DECODE_ERROR, f"The message cannot be read: {error}.") from error
    if len(starts) > config.max_batch_count:
        # The service names no limit here; its error looks like a passing fault.
        raise Refused(
            INTERNAL_ERROR, "The service was unable to process the request; please retry."
        )
    longest = max((len(each) for each in ids if each is not None), default=0)
    if longest > MAX_MESSAGE_ID_LENGTH:
        _check_ids(ids)
    return Arrival(data, starts, ends, ids)


def too_large(size: int, limit: int) -> Refused:
    """The refusal of a transfer of `size` bytes where `limit` is the most."""
    return Refused(
        MESSAGE_SIZE_EXCEEDED,
        f"The received message (size:{size} bytes) exceeds the limit "
        f"(size:{limit} bytes) currently allowed on the link.",
    )


def _check_ids(ids: list[bytes | None]) -> None:
    for each in ids:
        if each is not None and len(each.decode("utf-8", "replace")) > MAX_MESSAGE_ID_LENGTH:
            raise Refused(
                ARGUMENT_ERROR,
                f"A message id may have at most {MAX_MESSAGE_ID_LENGTH} characters.",
            )


def _split(data: bytes) -> tuple[list[int], list[int], list[bytes | None]]:
    starts: list[int] = []
    ends: list[int] = []
    ids: list[bytes | None] = []
    at = 0
    size = len(data)
    while at < size:
        if data[at : at + 4] == b"\x00Su\xb0" and at + 8 <= size:
            start = at + 8
            at = start + _UINT(data, at + 4)[0]
        else:
            number, value = wire.descriptor(data, at)
            after = wire.skip(data, value)
            if number != wire.DATA:
                if number > wire.DATA and number != wire.FOOTER:
                    raise wire.Malformed("the body of a batch is not a list of data sections")
                at = after
                continue
            start, at = wire.payload(data, value)
        if at > size:
            raise wire.Malformed("a message is longer than its batch")
        found = _quick_id(data, start, at)
        starts.append(start)
        ends.append(at)
        ids.append(message_id(data, start, at) if found is None else found)
    return starts, ends, ids


def _quick_id(data: bytes, at: int, end: int) -> bytes | None:
    """The id of a message of the usual shape; None if it has another one."""
    if data[at : at + 4] == b"\x00Sp\xc0" and at + 5 < end:
        after = at + 5 + data[at + 4]
        if not _is_header(data[at:after]):
            return None
        at = after
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
    return data[at + 2 : after] if after <= last else None


@lru_cache(maxsize=64)
def _is_header(section: bytes) -> bool:
    """Whether this is a whole header; the messages of a batch often have the same."""
    try:
        wire.fields(section, 3, 5)
    except wire.Malformed:
        return False
    return True


def message_id(data: bytes, at: int, end: int) -> bytes | None:
    """The id of the message in `data[at:end]` as bytes that are equal if and only if the ids are.

    A string is its UTF-8, the other types of id are preceded by a byte no UTF-8 has. None if the
    message has no id. Raises wire.Malformed, and Refused for what is not built yet.
    """
    if at >= end:
        raise wire.Malformed("a message is empty")
    found: bytes | None = None
    for number, _, value, after in wire.sections(data, at, end):
        if number < wire.HEADER:
            raise wire.Malformed("a section of a message was expected")
        if number == wire.HEADER:
            wire.fields(data, value, 5)
        if number == wire.MESSAGE_ANNOTATIONS:
            wire.entries(data, value)
            if _SCHEDULED in data[value:after]:
                raise Refused(NOT_IMPLEMENTED, "Scheduled messages are not supported here.")
        if number == wire.PROPERTIES:
            first = wire.fields(data, value, 1)
            found = _id_key(data, first[0]) if first else None
        if number >= wire.PROPERTIES:
            return found
    raise wire.Malformed("a message has no body")


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
