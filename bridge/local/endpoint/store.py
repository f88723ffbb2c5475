"""All messages of one queue, wherever they are, and the order in which they wait.

They come in blocks; a message that has been delivered is an object of its own, on a shelf, until it
is gone. What came back waits before what has never been delivered: its number is lower.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from heapq import heappop, heappush, merge

from bridge.local.endpoint.agenda import Agenda
from bridge.local.endpoint.batch import Arrival
from bridge.local.endpoint.block import Block
from bridge.local.endpoint.message import Place, State, StoredMessage
from bridge.local.endpoint.shelf import Shelf


class Store:
    """Messages that live at most `ttl` milliseconds; None: as long as they say themselves.

    size: bytes of all messages that are here.
    """

    def __init__(self, ttl: int | None) -> None:
        self.size = 0
        self._ttl = ttl
        self._held = [0] * len(Place)
        self._blocks: deque[Block] = deque()
        self._returned: list[StoredMessage] = []
        self._loose = Shelf()
        self._expiring: Agenda[Block | StoredMessage] = Agenda()
        self._last = 0

    def __len__(self) -> int:
        return self._held[Place.WAITING] + self._held[Place.LOCKED] + self._held[Place.DEFERRED]

    def count(self, place: Place) -> int:
        """How many messages are there."""
        return self._held[place]

    @property
    def last_number(self) -> int:
        """The last sequence number that was given."""
        return self._last

    def number(self) -> int:
        """A new sequence number."""
        self._last += 1
        return self._last

    # Coming

    def append(self, arrival: Arrival, fresh: list[int] | range, enqueued_at: int) -> None:
        """Let the messages of `arrival` at the positions `fresh` wait, in that order."""
        block = Block(self._last + 1, arrival, fresh, enqueued_at, self._ttl)
        self._blocks.append(block)
        self._last += len(fresh)
        self._held[Place.WAITING] += len(fresh)
        self.size += block.size
        if (at := block.next_expiry()) is not None:
            self._expiring.add(at, block)

    def add(self, message: StoredMessage) -> None:
        """Let a message of another queue wait here, under the number it has."""
        self._held[message.place] += 1
        self.size += len(message.data)
        self.put_back(message)

    # Going out, and coming back

    def take(self) -> StoredMessage:
        """The first message that waits; it is out until it is held, put back or removed.

        It may have expired. Raises IndexError if none waits.
        """
        while self._returned:
            message = heappop(self._returned)
            if message.place is Place.WAITING:
                return message
        self._tidy()
        return self._blocks[0].take()

    def hold(self, message: StoredMessage) -> None:
        """Keep a message that is locked."""
        self._move(message, Place.LOCKED)

    def put_back(self, message: StoredMessage) -> None:
        """Let a message wait again, at its place in the order."""
        self._move(message, Place.WAITING)
        heappush(self._returned, message)
        if message.expires_at is not None and not message.timed:
            message.timed = True
            self._expiring.add(message.expires_at, message)

    def set_aside(self, message: StoredMessage) -> None:
        """Keep a message that is deferred."""
        message.state = State.DEFERRED
        self._move(message, Place.DEFERRED)

    def remove(self, message: StoredMessage) -> None:
        """Forget a message."""
        self._held[message.place] -= 1
        self.size -= len(message.data)
        message.place = Place.GONE
        self._loose.discard(message.sequence_number)

    def change(self, message: StoredMessage, data: bytes) -> None:
        """Let a message have other bytes."""
        self.size += len(data) - len(message.data)
        message.data = data

    def _move(self, message: StoredMessage, place: Place) -> None:
        self._held[message.place] -= 1
        self._held[place] += 1
        message.place = place
        self._loose.add(message)

    # Looking

    def deferred(self, number: int) -> StoredMessage | None:
        """The deferred message of this sequence number, if there is one and it is not locked."""
        message = self._loose.get(number)
        return message if message is not None and message.place is Place.DEFERRED else None

    def walk(self, first: int) -> Iterator[StoredMessage]:
        """Every message from the sequence number `first` on, in order; they stay."""
        return merge(self._loose.walk(first), self._walk_blocks(first))

    def _walk_blocks(self, first: int) -> Iterator[StoredMessage]:
        begin = bisect_right(self._blocks, first, key=lambda block: block.first) - 1
        for at in range(max(begin, 0), len(self._blocks)):
            yield from self._blocks[at].walk(first)

    # Time

    def next_expiry(self) -> int | None:
        """When to call `expire` next, in milliseconds since 1970; None if there is no need."""
        return self._expiring.next_time()

    def expire(self, now: int, most: int) -> list[StoredMessage]:
        """Up to `most` messages that waited longer than they live; each is to be removed."""
        expired: list[StoredMessage] = []
        while len(expired) < most and (due := self._expiring.take(now)) is not None:
            if isinstance(due, StoredMessage):
                if due.place is Place.WAITING:
                    expired.append(due)
                continue
            expired += due.expire(now, most - len(expired))
            if (at := due.next_expiry()) is not None:
                self._expiring.add(at, due)
        self._tidy()
        return expired

    def _tidy(self) -> None:
        while self._returned and self._returned[0].place is Place.GONE:
            heappop(self._returned)
        while self._blocks and not self._blocks[0].left:
            self._blocks.popleft()
