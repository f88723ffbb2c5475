"""The messages of a queue that wait for a receiver, in the order of their sequence numbers.

A message costs its bytes and two machine words until it is first delivered: what one send brought
stays together in one block. Only then does it become an object of its own.
"""

from __future__ import annotations

from array import array
from collections import deque
from heapq import heappop, heappush

from bridge.local.endpoint.batch import Arrival


class StoredMessage:
    """One message that has been, or is about to be, delivered.

    enqueued_at: milliseconds since 1970. failed_deliveries: deliveries that were abandoned or ran
    out of time. deliveries: all of them.
    """

    __slots__ = ("data", "deliveries", "enqueued_at", "failed_deliveries", "sequence_number")

    def __init__(self, sequence_number: int, enqueued_at: int, data: bytes) -> None:
        self.sequence_number = sequence_number
        self.enqueued_at = enqueued_at
        self.data = data
        self.failed_deliveries = 0
        self.deliveries = 0

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

    def take(self) -> StoredMessage:
        """Remove and return the first message. Raises IndexError if there is none."""
        if self._returned:
            return heappop(self._returned)
        block = self._blocks[0]
        position = block.taken
        block.taken = position + 1
        count = len(block.bounds) // 2
        start, end = block.bounds[position], block.bounds[count + position]
        message = StoredMessage(block.first + position, block.enqueued_at, block.data[start:end])
        if position + 1 == count:
            self._blocks.popleft()
        self._in_blocks -= 1
        return message
