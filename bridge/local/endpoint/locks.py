"""The messages a queue has lent to receivers, each under a token and until a deadline."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

from bridge.local.endpoint.message import StoredMessage
from bridge.local.endpoint.outcomes import lock_lost


class Lock(NamedTuple):
    """A message that a receiver holds until `deadline`, in seconds of the endpoint's clock."""

    message: StoredMessage
    deadline: float


class LockTable:
    """Locks in the order of their deadlines: all last equally long, so the newest ends last."""

    def __init__(self, duration: float) -> None:
        self._duration = duration
        self._locks: OrderedDict[bytes, Lock] = OrderedDict()

    def __len__(self) -> int:
        return len(self._locks)

    def add(self, token: bytes, message: StoredMessage, now: float) -> float:
        """Lock `message` under the 16 bytes `token`; return the deadline."""
        deadline = now + self._duration
        self._locks[token] = Lock(message, deadline)
        return deadline

    def held(self, token: bytes, now: float) -> Lock:
        """The lock under `token`. Raises Refused if it has ended."""
        lock = self._locks.get(token)
        if lock is None or lock.deadline <= now:
            raise lock_lost()
        return lock

    def end(self, token: bytes, now: float) -> StoredMessage:
        """Give up the lock and return its message. Raises Refused if it has ended before."""
        lock = self._locks.get(token)
        if lock is None or lock.deadline <= now:
            raise lock_lost()
        del self._locks[token]
        return lock.message

    def renew(self, token: bytes, now: float) -> float:
        """Start the duration of the lock again; return the deadline. Raises Refused."""
        message = self.end(token, now)
        return self.add(token, message, now)

    def messages(self) -> Iterator[StoredMessage]:
        """All that is locked, in no order of importance."""
        return (lock.message for lock in self._locks.values())

    def next_deadline(self) -> float | None:
        """When the first lock ends; None if there is none."""
        for lock in self._locks.values():
            return lock.deadline
        return None

    def take_expired(self, now: float) -> list[StoredMessage]:
        """Remove the locks that have ended by `now` and return their messages."""
        expired = []
        while self._locks:
            token, lock = next(iter(self._locks.items()))
            if lock.deadline > now:
                break
            del self._locks[token]
            expired.append(lock.message)
        return expired
