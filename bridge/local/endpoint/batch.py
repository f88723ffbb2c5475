"""Cutting a transfer into its messages, and finding what must be known of each, without decoding.

That is its id, its time to live and the time that it is scheduled for.

A batch of the service has message format 0x80013700: its body is a list of data sections, each of
them one encoded message. Almost every message the SDK makes has one shape, which `_quick` reads by
position; whatever it does not recognise goes to `read_head`, which knows all of AMQP. What
stands before the body is checked, so that it can be rewritten for a delivery; the rest is passed on
as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from struct import Struct
from typing import TypeAlias

from bridge.local.endpoint import wire
from bridge.local.endpoint.config import MAX_MESSAGE_ID_LENGTH, EntityConfig
from bridge.local.endpoint.outcomes import (
    ARGUMENT_ERROR,
    DECODE_ERROR,
    INTERNAL_ERROR,
    MESSAGE_SIZE_EXCEEDED,
    Refused,
)

BATCH_FORMAT = 0x80013700

_UINT = Struct(">I").unpack_from
_SCHEDULED = b"x-opt-scheduled-enqueue-time"

Head: TypeAlias = tuple[bytes | None, int, int]
"""Of a message its id, its time to live (ms) and when it is scheduled for (ms since 1970); or 0."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """The messages of one transfer: message i is `data[starts[i]:ends[i]]`, with id `ids[i]`.

    ttls: the time to live of each that has one, in milliseconds. due: when each that is scheduled
    is to be enqueued, in milliseconds since 1970.
    """

    data: bytes
    starts: list[int]
    ends: list[int]
    ids: list[bytes | None]
    ttls: Mapping[int, int] = field(default_factory=dict)
    due: Mapping[int, int] = field(default_factory=dict)

    def alone(self, position: int) -> Arrival:
        """One of the messages by itself, to be enqueued at once."""
        data = self.data[self.starts[position] : self.ends[position]]
        ttls = {0: self.ttls[position]} if position in self.ttls else {}
        return Arrival(data, [0], [len(data)], [self.ids[position]], ttls)


def joined(arrivals: Iterable[Arrival]) -> Arrival:
    """Several arrivals as one."""
    starts: list[int] = []
    ends: list[int] = []
    ids: list[bytes | None] = []
    ttls: dict[int, int] = {}
    dues: dict[int, int] = {}
    data = b""
    for each in arrivals:
        ttls |= {len(ids) + position: ttl for position, ttl in each.ttls.items()}
        dues |= {len(ids) + position: due for position, due in each.due.items()}
        starts += (len(data) + start for start in each.starts)
        ends += (len(data) + end for end in each.ends)
        ids += each.ids
        data += each.data
    return Arrival(data, starts, ends, ids, ttls, dues)


def read_transfer(data: bytes, message_format: int, config: EntityConfig) -> Arrival:
    """The messages in one transfer. Raises Refused if any of it cannot be taken."""
    batch = message_format == BATCH_FORMAT
    limit = config.max_batch_bytes if batch else config.message_bytes
    if len(data) > limit:
        raise too_large(len(data), limit)
    try:
        arrival = _split(data) if batch else _single(data)
    except wire.Malformed as error:
        raise Refused(DECODE_ERROR, f"The message cannot be read: {error}.") from error
    if len(arrival.ids) > config.max_batch_count:
        # The service names no limit here; its error looks like a passing fault.
        raise Refused(
            INTERNAL_ERROR, "The service was unable to process the request; please retry."
        )
    longest = max((len(each) for each in arrival.ids if each is not None), default=0)
    if longest > MAX_MESSAGE_ID_LENGTH:
        _check_ids(arrival.ids)
    return arrival


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


def _single(data: bytes) -> Arrival:
    found, ttl, due = read_head(data, 0, len(data))
    return Arrival(
        data, [0], [len(data)], [found], {0: ttl} if ttl else {}, {0: due} if due else {}
    )


def _split(data: bytes) -> Arrival:
    starts: list[int] = []
    ends: list[int] = []
    ids: list[bytes | None] = []
    ttls: dict[int, int] = {}
    dues: dict[int, int] = {}
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
        found, ttl, due = _quick(data, start, at) or read_head(data, start, at)
        if ttl:
            ttls[len(ids)] = ttl
        if due:
            dues[len(ids)] = due
        starts.append(start)
        ends.append(at)
        ids.append(found)
    return Arrival(data, starts, ends, ids, ttls, dues)


def _quick(data: bytes, at: int, end: int) -> Head | None:
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
