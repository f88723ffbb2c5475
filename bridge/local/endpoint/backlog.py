"""The messages of a queue that wait for a receiver, in the order of their sequence numbers.

A message costs its bytes and two machine words until it is first delivered: what one send brought
stays together in one block. Only then does it become an object of its own.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator
from heapq import heappop, heappush, merge, nsmallest
from itertools import islice

from bridge.local.endpoint.batch import Arrival


class StoredMessage:
    """One message that has been, or is about to be, delivered.

    enqueued_at: milliseconds since 1970. failed_deliveries: deliveries that were abandoned or ran
    out of time. deliveries: all of them. deferred: it is received by its sequence number only.
    """

    __slots__ = (
        "data",
        "deferred",
        "deliveries",
        "enqueued_at",
        "failed_deliveries",
        "sequence_number",
    )

    def __init__(self, sequence_number: int, enqueued_at: int, data: bytes) -> None:
        self.sequence_number = sequence_number
        self.enqueued_at = enqueued_at
        self.data = data
        self.failed_deliveries = 0
        self.deliveries = 0
        self.deferred = False

    def __lt__(self, other: StoredMessage) -> bool:
        return self.sequence_number < other.sequence_number


class _Block:
    __slots__ = ("bounds", "data", "enqueued_at", "first", "taken")

    def __init__(self, first: int, enqueued_at: int, data: bytes, bounds: array[int]) -> None:
        self.first = first
        self.enqueued_at = enqueued_at
        self.data = data
        self.bounds = bounds
        self.taken = 0

    def message(self, position: int) -> StoredMessage:
        """A message object of its own for the one at `position`."""
        start, end = self.bounds[position], self.bounds[len(self.bounds) // 2 + position]
        return StoredMessage(self.first + position, self.enqueued_at, self.data[start:end])

    def peek(self, first: int) -> Iterator[StoredMessage]:
        """What has not been taken, from the sequence number `first` on."""
        for position in range(max(self.taken, first - self.first), len(self.bounds) // 2):
            yield self.message(position)


class Backlog:
    """Messages in order; those that come back after a delivery stand before the others."""

    def __init__(self) -> None:
        self._returned: list[StoredMessage] = []
        self._blocks: deque[_Block] = deque()
        self._in_blocks = 0
        self._last = 0

    def __len__(self) -> int:
        return self._in_blocks + len(self._returned)

    @property
    def next_sequence_number(self) -> int:
        """The number that the next new message will get."""
        return self._last + 1

    def append(self, arrival: Arrival, fresh: list[int] | range, enqueued_at: int) -> None:
        """Add the messages of `arrival` whose positions are in `fresh`, in that order."""
        starts, ends, data = arrival.starts, arrival.ends, arrival.data
        bounds = array("I")
        if len(fresh) == len(starts):
            bounds.extend(starts)
            bounds.extend(ends)
        else:
            pieces = [data[starts[i] : ends[i]] for i in fresh]
            edges = [0]
            for piece in pieces:
                edges.append(edges[-1] + len(piece))
            data = b"".join(pieces)
            bounds.extend(edges[:-1])
            bounds.extend(edges[1:])
        self._blocks.append(_Block(self._last + 1, enqueued_at, data, bounds))
        self._last += len(fresh)
        self._in_blocks += len(fresh)

    def put_back(self, message: StoredMessage) -> None:
        """Let a message that has been taken wait again, at its place in the order."""
        heappush(self._returned, message)

    def peek(self, first: int, count: int) -> list[StoredMessage]:
        """Up to `count` messages from the sequence number `first` on, in order; they stay."""
        returned = [each for each in self._returned if each.sequence_number >= first]
        waiting = (message for block in self._blocks for message in block.peek(first))
        return list(islice(merge(nsmallest(count, returned), waiting), count))

    def take(self) -> StoredMessage:
        """Remove and return the first message. Raises IndexError if there is none."""
        if self._returned:
            return heappop(self._returned)
        block = self._blocks[0]
        position = block.taken
        block.taken = position + 1
        message = block.message(position)
        if position + 1 == len(block.bounds) // 2:
            self._blocks.popleft()
        self._in_blocks -= 1
        return message
