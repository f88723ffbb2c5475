"""One message of a queue that has left the block it came in, or never was in one."""

from __future__ import annotations

from enum import IntEnum


class State(IntEnum):
    """What a receiver is told of a message; the numbers are the service's."""

    ACTIVE = 0
    DEFERRED = 1
    SCHEDULED = 2


class Place(IntEnum):
    """Where a message is at the moment."""

    WAITING = 0
    LOCKED = 1
    DEFERRED = 2
    GONE = 3


class StoredMessage:
    """One message and what the queue knows of it.

    enqueued_at, expires_at: milliseconds since 1970; expires_at is None if it lives for ever.
    failed_deliveries: deliveries that were abandoned or ran out of time. deliveries: all of them.
    state: a deferred message stays one under a lock, and goes back to where it was deferred.
    timed: whether the end of its life is on the agenda; once it is, it stays there.
    """

    __slots__ = (
        "data",
        "deliveries",
        "enqueued_at",
        "expires_at",
        "failed_deliveries",
        "place",
        "sequence_number",
        "state",
        "timed",
    )

    def __init__(
        self, sequence_number: int, enqueued_at: int, data: bytes, expires_at: int | None = None
    ) -> None:
        self.sequence_number = sequence_number
        self.enqueued_at = enqueued_at
        self.data = data
        self.expires_at = expires_at
        self.failed_deliveries = 0
        self.deliveries = 0
        self.place = Place.WAITING
        self.state = State.ACTIVE
        self.timed = False

    def __lt__(self, other: StoredMessage) -> bool:
        return self.sequence_number < other.sequence_number

    def has_expired(self, now: int) -> bool:
        """Whether its life is over at `now`, in milliseconds since 1970."""
        return self.expires_at is not None and self.expires_at <= now

    def dead(self) -> StoredMessage:
        """What becomes of it in a dead-letter queue, where it lives for ever."""
        copy = StoredMessage(self.sequence_number, self.enqueued_at, self.data)
        copy.failed_deliveries = self.failed_deliveries
        return copy
