"""The bytes of an outgoing message: the stored ones, with what the service adds for a delivery.

The service adds to the header the count of failed deliveries and the time to live that counts, and
to the message annotations the sequence number, the time of arrival, under a lock its end, and the
state of a message that is deferred or scheduled.
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct

from bridge.local.endpoint import wire
from bridge.local.endpoint.message import State, StoredMessage

_SEQUENCE = b"x-opt-sequence-number"
_ENQUEUED = b"x-opt-enqueued-time"
_LOCKED = b"x-opt-locked-until"
_STATE = b"x-opt-message-state"
_OURS = (_SEQUENCE, _ENQUEUED, _LOCKED, _STATE)

# The most milliseconds that the field has room for.
_LONGEST_TTL = 2**32 - 1

_UINT = Struct(">I").pack


def _symbol(text: bytes) -> bytes:
    return bytes((0xA3, len(text))) + text


def _string(text: str) -> bytes:
    encoded = text.encode()
    return b"\xb1" + _UINT(len(encoded)) + encoded


# A header of five fields, of which only the last, the delivery count, is set.
_PLAIN_HEADER = b"\x00Sp\xc0\x09\x05@@@@p"
_SEQUENCE_KEY = _symbol(_SEQUENCE) + b"\x81"
_ENQUEUED_KEY = _symbol(_ENQUEUED) + b"\x83"
_LOCKED_KEY = _symbol(_LOCKED) + b"\x83"
_STATE_KEY = _symbol(_STATE)
_PLAIN_SIZE = 1 + sum(len(key) + 8 for key in (_SEQUENCE_KEY, _ENQUEUED_KEY, _LOCKED_KEY))
_PLAIN_ANNOTATIONS = b"\x00Sr\xc1" + bytes((_PLAIN_SIZE, 6)) + _SEQUENCE_KEY
_PLAIN = Struct(
    f">{len(_PLAIN_HEADER)}sI{len(_PLAIN_ANNOTATIONS)}sq{len(_ENQUEUED_KEY)}sq{len(_LOCKED_KEY)}sq"
).pack


def render(message: StoredMessage, locked_until: int | None) -> bytes:
    """`message` as it is sent; `locked_until` in milliseconds since 1970, None if it is deleted."""
    data = message.data
    if (
        locked_until is not None
        and message.state is State.ACTIVE
        and message.expires_at is None
        and data[2] >= wire.PROPERTIES
        and data[1] == 0x53
    ):
        return (
            _PLAIN(
                _PLAIN_HEADER,
                message.failed_deliveries,
                _PLAIN_ANNOTATIONS,
                message.sequence_number,
                _ENQUEUED_KEY,
                message.enqueued_at,
                _LOCKED_KEY,
                locked_until,
            )
            + data
        )
    return _with_own_sections(message, locked_until)


def _with_own_sections(message: StoredMessage, locked_until: int | None) -> bytes:
    data = message.data
    # Durable, priority, time to live and first acquirer; the delivery count is ours.
    header = [b"@"] * 4
    delivery_annotations = b""
    annotations: list[bytes] = []
    rest = len(data)
    for number, start, value, end in wire.sections(data, 0, len(data)):
        if number == wire.HEADER:
            for index, at in enumerate(wire.fields(data, value, len(header))):
                header[index] = data[at : wire.skip(data, at)]
        elif number == wire.DELIVERY_ANNOTATIONS:
            delivery_annotations = data[start:end]
        elif number == wire.MESSAGE_ANNOTATIONS:
            annotations = _entries(data, value, _OURS)
        else:
            rest = start
            break
    if message.expires_at is not None:
        ttl = min(message.expires_at - message.enqueued_at, _LONGEST_TTL)
        header[2] = b"p" + _UINT(ttl)
    annotations += [
        _SEQUENCE_KEY + message.sequence_number.to_bytes(8, "big", signed=True),
        _ENQUEUED_KEY + message.enqueued_at.to_bytes(8, "big", signed=True),
    ]
    if locked_until is not None:
        annotations.append(_LOCKED_KEY + locked_until.to_bytes(8, "big", signed=True))
    if message.state is not State.ACTIVE:
        # An int of one byte.
        annotations.append(_STATE_KEY + b"\x54" + bytes((message.state,)))
    fields = b"".join(header) + b"p" + _UINT(message.failed_deliveries)
    return b"".join(
        (
            b"\x00Sp\xd0" + _UINT(len(fields) + 4) + _UINT(5) + fields,
            delivery_annotations,
            b"\x00Sr" + _map(annotations),
            data[rest:],
        )
    )


def with_properties(data: bytes, properties: Mapping[str, bytes]) -> bytes:
    """The message `data` with `properties`, encoded, set among its application properties.

    A message whose sections cannot be told apart is returned as it is.
    """
    try:
        return _with_properties(data, properties)
    except wire.Malformed:
        return data


def _with_properties(data: bytes, properties: Mapping[str, bytes]) -> bytes:
    names = tuple(name.encode() for name in properties)
    entries: list[bytes] = []
    before = after = len(data)
    for number, start, value, end in wire.sections(data, 0, len(data)):
        if number >= wire.APPLICATION_PROPERTIES:
            before = after = start
            if number == wire.APPLICATION_PROPERTIES:
                entries, after = _entries(data, value, names), end
            break
    entries += [_string(name) + value for name, value in properties.items()]
    return data[:before] + b"\x00St" + _map(entries) + data[after:]


def _entries(data: bytes, at: int, without: tuple[bytes, ...]) -> list[bytes]:
    """The entries of the map at `at` as they are, but those whose key is one of `without`."""
    kept = []
    for key, _, after in wire.entries(data, at):
        if data[key] >> 4 in (0xA, 0xB):
            start, end = wire.payload(data, key)
            if data[start:end] in without:
                continue
        kept.append(data[key:after])
    return kept


def _map(entries: list[bytes]) -> bytes:
    body = b"".join(entries)
    return b"\xd1" + _UINT(len(body) + 4) + _UINT(2 * len(entries)) + body
