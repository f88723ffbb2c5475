"""What one send brought, kept together until its messages go out.

A message costs its bytes and two machine words here, and three more if any message of the send has
a time to live.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from bridge.local.endpoint.batch import Arrival
from bridge.local.endpoint.message import StoredMessage

# Stands for the expiry of a message that lives for ever.
_NEVER = 2**63 - 1


class Block:
    """Messages with consecutive sequence numbers from `first` on; `left` of them are still here.

    A message that expired has no bytes between its bounds.
    """

    __slots__ = (
        "_bounds",
        "_data",
        "_due",
        "_enqueued_at",
        "_expiries",
        "_taken",
        "first",
        "left",
        "size",
    )

    def __init__(
        self,
        first: int,
        arrival: Arrival,
        fresh: list[int] | range,
        enqueued_at: int,
        longest: int | None,
    ) -> None:
        """The messages of `arrival` at the positions `fresh`, which live at most `longest` ms."""
        self.first = first
        self.left = len(fresh)
        self._enqueued_at = enqueued_at
        self._taken = 0
        self._data, self._bounds = _cut(arrival, fresh)
        self.size = sum(self._bounds[self.left :]) - sum(self._bounds[: self.left])
        self._expiries: array[int] | None = None
        self._due: array[int] | None = None
        if arrival.ttls or longest is not None:
            self._set_expiries(arrival, fresh, longest)

    def _set_expiries(
        self, arrival: Arrival, fresh: list[int] | range, longest: int | None
    ) -> None:
        most = _NEVER - self._enqueued_at if longest is None else longest
        if not arrival.ttls:
            self._expiries = array("q", (self._enqueued_at + most,)) * len(fresh)
            self._due = array("I", range(len(fresh) - 1, -1, -1))
            return
        lives = (min(arrival.ttls.get(position, most), most) for position in fresh)
        expiries = array("q", (self._enqueued_at + life for life in lives))
        mortal = (position for position, at in enumerate(expiries) if at < _NEVER)
        self._expiries = expiries
        # The next to expire is the last.
        self._due = array("I", sorted(mortal, key=expiries.__getitem__, reverse=True))

    def __len__(self) -> int:
        return len(self._bounds) // 2

    def _message(self, position: int) -> StoredMessage:
        """A message object of its own for the one at `position`."""
        start, end = self._bounds[position], self._bounds[len(self) + position]
        message = StoredMessage(self.first + position, self._enqueued_at, self._data[start:end])
        if self._expiries is not None and self._expiries[position] < _NEVER:
            message.expires_at = self._expiries[position]
        return message

    def _here(self, position: int) -> bool:
        if self._expiries is None:
            return True
        return self._bounds[position] < self._bounds[len(self) + position]

    def take(self) -> StoredMessage:
        """Remove and return the first message; there must be one left."""
        while not self._here(self._taken):
            self._taken += 1
        message = self._message(self._taken)
        self._taken += 1
        self.left -= 1
        if not self.left:
            self._clear()
        return message

    def _clear(self) -> None:
        """Give up the memory: the agenda of expiries may know this block for long."""
        self._data = b""
        self._bounds = array("I")
        self._expiries = self._due = None

    def walk(self, first: int) -> Iterator[StoredMessage]:
        """What is still here, from the sequence number `first` on; it stays."""
        for position in range(max(self._taken, first - self.first), len(self)):
            if self._here(position):
                yield self._message(position)

    def next_expiry(self) -> int | None:
        """When the next message expires, in milliseconds since 1970; None if none ever will."""
        due, expiries = self._due, self._expiries
        if due is None or expiries is None:
            return None
        while due and due[-1] < self._taken:
            due.pop()
        return expiries[due[-1]] if due else None

    def expire(self, now: int, most: int) -> list[StoredMessage]:
        """Remove and return up to `most` messages that have expired by `now`."""
        expired: list[StoredMessage] = []
        while len(expired) < most and (at := self.next_expiry()) is not None and at <= now:
            assert self._due is not None
            position = self._due.pop()
            expired.append(self._message(position))
            self._bounds[position] = self._bounds[len(self) + position]
            self.left -= 1
        if not self.left:
            self._clear()
        return expired


def _cut(arrival: Arrival, fresh: list[int] | range) -> tuple[bytes, array[int]]:
    """The bytes of the messages at `fresh`, and where each begins, then where each ends."""
    starts, ends, data = arrival.starts, arrival.ends, arrival.data
    bounds = array("I")
    if len(fresh) == len(starts):
        bounds.extend(starts)
        bounds.extend(ends)
        return data, bounds
    pieces = [data[starts[position] : ends[position]] for position in fresh]
    edges = [0]
    for piece in pieces:
        edges.append(edges[-1] + len(piece))
    bounds.extend(edges[:-1])
    bounds.extend(edges[1:])
    return b"".join(pieces), bounds
