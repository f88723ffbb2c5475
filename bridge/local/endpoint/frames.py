"""Cutting what a client sends into AMQP frames, to see the message format of each transfer.

proton reads the message format of a transfer and forgets it; but it is the only thing that says a
message is a batch. So each transfer frame is handed to proton alone, after a look at its fields.
"""

from __future__ import annotations

from collections.abc import Iterator

from bridge.local.endpoint import wire

_TRANSFER = 0x14
_MESSAGE_FORMAT_FIELD = 3


class FrameSplitter:
    """Collects bytes until a frame is whole. Frames longer than `longest` are not waited for."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[tuple[bytes, int | None]]:
        """Yield pieces of the stream in order, nothing left out but the beginning of a frame.

        With a piece that is one transfer frame comes its message format, 0 if it names none; with
        any other piece None. What is no AMQP is passed on as it is: proton knows how to refuse it.
        """
        if self._rest:
            data = self._rest + data
        start = at = 0
        size = len(data)
        while size - at >= 8:
            length = int.from_bytes(data[at : at + 4], "big")
            if data[at : at + 4] == b"AMQP":
                length = 8
            elif not 8 <= length <= self._longest:
                at = size
                break
            if at + length > size:
                break
            body = at + 4 * data[at + 4]
            if data[body : body + 3] == b"\x00S\x14" and data[at + 5] == 0:
                if start < at:
                    yield data[start:at], None
                start = at + length
                yield data[at:start], _message_format(data, body, start)
            at += length
        if start < at:
            yield data[start:at], None
        self._rest = data[at:]


def _message_format(data: bytes, body: int, end: int) -> int:
    frame = data[body:end]
    try:
        number, value = wire.descriptor(frame, 0)
        starts = wire.fields(frame, value, _MESSAGE_FORMAT_FIELD + 1)
        if number == _TRANSFER and len(starts) > _MESSAGE_FORMAT_FIELD:
            return wire.unsigned(frame, starts[_MESSAGE_FORMAT_FIELD]) or 0
    except wire.Malformed:
        pass
    return 0
