"""Cutting a transfer into its messages, with what must be known of each (`head`).

A batch of the service has message format 0x80013700: its body is a list of data sections, each of
them one encoded message. The bytes of a message are passed on as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from struct import Struct

from bridge.local.endpoint import wire
from bridge.local.endpoint.config import MAX_MESSAGE_ID_LENGTH, EntityConfig
from bridge.local.endpoint.head import quick_head, read_head
from bridge.local.endpoint.outcomes import (
    ARGUMENT_ERROR,
    DECODE_ERROR,
    INTERNAL_ERROR,
    MESSAGE_SIZE_EXCEEDED,
    Refused,
)

BATCH_FORMAT = 0x80013700

_UINT = Struct(">I").unpack_from


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
        found, ttl, due = quick_head(data, start, at) or read_head(data, start, at)
        if ttl:
            ttls[len(ids)] = ttl
        if due:
            dues[len(ids)] = due
        starts.append(start)
        ends.append(at)
        ids.append(found)
    return Arrival(data, starts, ends, ids, ttls, dues)
