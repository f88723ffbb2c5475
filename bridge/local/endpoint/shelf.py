"""Messages by sequence number: each is found at once, and they can be walked through from any one.

The numbers are in order in pieces of bounded length, so that neither adding nor removing one, nor
finding where to begin, depends much on how many there are.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from itertools import islice

from bridge.local.endpoint.message import StoredMessage

# Numbers in a piece that grows at its end, and in one that is cut in two.
_FULL = 512
_TOO_LONG = 1024


class Shelf:
    """A set of messages in the order of their sequence numbers, no two of which are equal."""

    def __init__(self) -> None:
        self._messages: dict[int, StoredMessage] = {}
        self._pieces: list[list[int]] = []
        # Of each piece a number that is not above its own and above those of the piece before.
        self._floors: list[int] = []

    def __len__(self) -> int:
        return len(self._messages)

    def get(self, number: int) -> StoredMessage | None:
        """The message of that number, if it is here."""
        return self._messages.get(number)

    def add(self, message: StoredMessage) -> None:
        """Put `message` at its place; nothing happens if its number is here already."""
        number = message.sequence_number
        if number in self._messages:
            return
        self._messages[number] = message
        pieces = self._pieces
        if not pieces or (number > pieces[-1][-1] and len(pieces[-1]) >= _FULL):
            pieces.append([number])
            self._floors.append(number)
            return
        if number > pieces[-1][-1]:
            pieces[-1].append(number)
            return
        at = max(bisect_right(self._floors, number) - 1, 0)
        piece = pieces[at]
        insort(piece, number)
        self._floors[at] = min(self._floors[at], number)
        if len(piece) > _TOO_LONG:
            half = len(piece) // 2
            pieces[at : at + 1] = [piece[:half], piece[half:]]
            self._floors.insert(at + 1, piece[half])

    def discard(self, number: int) -> StoredMessage | None:
        """Remove and return the message of that number, if it is here."""
        message = self._messages.pop(number, None)
        if message is not None:
            at = bisect_right(self._floors, number) - 1
            piece = self._pieces[at]
            del piece[bisect_left(piece, number)]
            if not piece:
                del self._pieces[at], self._floors[at]
        return message

    def walk(self, first: int) -> Iterator[StoredMessage]:
        """The messages from the number `first` on; nothing may be added or removed meanwhile."""
        at = max(bisect_right(self._floors, first) - 1, 0)
        for piece in islice(self._pieces, at, None):
            for number in islice(piece, bisect_left(piece, first), None):
                yield self._messages[number]
