"""An append-only file that says of every message that was taken its queue, number and id.

For checkers that must not rely on what the endpoint itself remembers. One line per message:
queue, sequence number and message id, separated by tabs; the number is 0 when duplicate detection
dropped the message as a repeat. Inside an id a backslash, tab, line feed
or carriage return is written as in C; an id that is no string begins with the byte 0xff; the line
of a message without an id ends after the second tab. One write per send, made before the send is
accepted; not synced, so it survives the end of the process but not that of the machine.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from itertools import count, repeat
from pathlib import Path

_SPECIAL = re.compile(rb"[\\\t\n\r]")
_ESCAPED = {b"\\": b"\\\\", b"\t": b"\\t", b"\n": b"\\n", b"\r": b"\\r"}


class Journal:
    """Appends to `path`. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def record(
        self,
        queue: str,
        first: int,
        ids: Iterable[bytes | None],
        repeats: Iterable[bytes | None] = (),
    ) -> None:
        """Write down that the messages `ids` of `queue` are stored under `first` and onwards.

        repeats: ids of those that are dropped.
        """
        name = queue.encode()
        lines = [
            b"%b\t%d\t%b\n" % (name, number, _escape(message_id or b""))
            for numbers, some in ((count(first), ids), (repeat(0), repeats))
            for number, message_id in zip(numbers, some, strict=False)
        ]
        rest = memoryview(b"".join(lines))
        while rest:
            rest = rest[os.write(self._file, rest) :]

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def _escape(message_id: bytes) -> bytes:
    if _SPECIAL.search(message_id) is None:
        return message_id
    return _SPECIAL.sub(lambda match: _ESCAPED[match[0]], message_id)
