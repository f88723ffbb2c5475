"""The bytes of a message in AMQP 1.0: what all messages of a send share is encoded once."""

from __future__ import annotations

import time
from calendar import timegm
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from struct import Struct

CONTENT_TYPE = "application/json"

_NULL = b"\x40"

#: What a section begins with (AMQP 1.0, part 3, 3.2).
_HEADER = b"\x00\x53\x70"
_ANNOTATIONS = b"\x00\x53\x72"
_PROPERTIES = b"\x00\x53\x73"
_APPLICATION_PROPERTIES = b"\x00\x53\x74"
_DATA = b"\x00\x53\x75"

_PROPERTY_COUNT = 13

_pack_long_start = Struct(">BI").pack
_pack_long_compound = Struct(">BII").pack
_pack_milliseconds = Struct(">Bq").pack


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """What all messages of a send have in common, beside a content type that is always JSON.

    Session id and partition key have at most 128 characters, and are equal if there are both.
    """

    subject: str
    correlation_id: str | None = None
    session_id: str | None = None
    partition_key: str | None = None
    scheduled_at: datetime | None = None
    """When the broker shows them to receivers; aware."""
    time_to_live: timedelta | None = None
    """Whole seconds count, up to 49 days."""
    application_properties: Mapping[str, str] = field(default_factory=dict)


class Template:
    """A message without its id and its body."""

    def __init__(self, common: Common) -> None:
        self._before = _header(common) + _annotations(common)
        self._fields = _fields_after_id(common)
        self._after_id = self._fields + _application_properties(common) + _DATA
        self._frames: dict[tuple[int, int], tuple[bytes, bytes]] = {}

    def encode(self, message_id: str, body: bytes) -> bytes:
        """The message, as the data section of a batch."""
        encoded_id = message_id.encode()
        # Most messages of a send are of a few lengths.
        key = len(encoded_id), len(body)
        start, middle = self._frames.get(key) or self._frame(*key)
        return b"".join((start, encoded_id, middle, body))

    def _frame(self, id_length: int, body_length: int) -> tuple[bytes, bytes]:
        """What is before an id and a body of these lengths, in bytes, which are in it."""
        id_start = _start(0xA1, id_length)
        size = len(id_start) + id_length + len(self._fields)
        properties = _PROPERTIES + _compound_start(0xC0, size, _PROPERTY_COUNT)
        start = self._before + properties + id_start
        middle = self._after_id + _start(0xA0, body_length)
        message_length = len(start) + id_length + len(middle) + body_length
        section = _DATA + _start(0xA0, message_length)
        frame = self._frames[id_length, body_length] = section + start, middle
        return frame


def _header(common: Common) -> bytes:
    if common.time_to_live is None:
        return b""
    milliseconds = int(common.time_to_live.total_seconds()) * 1000
    time_to_live = _pack_long_start(0x70, milliseconds) if milliseconds else b"\x43"
    return _HEADER + _compound(0xC0, [_NULL, _NULL, time_to_live, _NULL, _NULL])


def _annotations(common: Common) -> bytes:
    pairs = []
    if common.scheduled_at is not None:
        seconds = timegm(common.scheduled_at.utctimetuple())
        at = int(seconds * 1000 + common.scheduled_at.microsecond / 1000)
        pairs += [_symbol("x-opt-scheduled-enqueue-time"), _timestamp(at)]
    if common.partition_key is not None:
        pairs += [_symbol("x-opt-partition-key"), _string(common.partition_key)]
    return _ANNOTATIONS + _compound(0xC1, pairs) if pairs else b""


def _fields_after_id(common: Common) -> bytes:
    expires_at = created_at = _NULL
    if common.time_to_live is not None and (seconds := int(common.time_to_live.total_seconds())):
        # The SDK's clock is off by the distance of the local time from UTC; so is ours, then.
        now = int(time.mktime(datetime.now(UTC).timetuple()))
        created_at, expires_at = _timestamp(now * 1000), _timestamp((now + seconds) * 1000)
    user_id = to = reply_to = content_encoding = group_sequence = reply_to_group_id = _NULL
    return b"".join(
        (
            user_id,
            to,
            _string(common.subject),
            reply_to,
            _NULL if common.correlation_id is None else _string(common.correlation_id),
            _symbol(CONTENT_TYPE),
            content_encoding,
            expires_at,
            created_at,
            _NULL if common.session_id is None else _string(common.session_id),
            group_sequence,
            reply_to_group_id,
        )
    )


def _application_properties(common: Common) -> bytes:
    pairs = [_string(each) for pair in common.application_properties.items() for each in pair]
    return _APPLICATION_PROPERTIES + _compound(0xC1, pairs) if pairs else b""


def _string(text: str) -> bytes:
    encoded = text.encode()
    return _start(0xA1, len(encoded)) + encoded


def _symbol(text: str) -> bytes:
    return _start(0xA3, len(text)) + text.encode("ascii")


def _timestamp(milliseconds: int) -> bytes:
    return _pack_milliseconds(0x83, milliseconds)


def _compound(short: int, items: list[bytes]) -> bytes:
    """A list, or a map as its keys and values in turn."""
    encoded = b"".join(items)
    return _compound_start(short, len(encoded), len(items)) + encoded


def _start(short: int, length: int) -> bytes:
    """Type and length of a string, symbol or binary; the long form's type is 16 more."""
    return bytes((short, length)) if length < 256 else _pack_long_start(short + 16, length)


def _compound_start(short: int, size: int, count: int) -> bytes:
    """Type, size and count of a list or map; the size includes that of the count."""
    if size < 255:
        return bytes((short, size + 1, count))
    return _pack_long_compound(short + 16, size + 4, count)
