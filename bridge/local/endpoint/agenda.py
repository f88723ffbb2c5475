"""What is to be done at which time, the earliest first."""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count
from typing import Generic, TypeVar

T = TypeVar("T")


class Agenda(Generic[T]):
    """Things with a time of day, in milliseconds since 1970."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, T]] = []
        self._order = count()

    def add(self, at: int, thing: T) -> None:
        """Put down `thing` for the time `at`."""
        heappush(self._heap, (at, next(self._order), thing))

    def next_time(self) -> int | None:
        """The earliest time; None if there is nothing to do."""
        return self._heap[0][0] if self._heap else None

    def take(self, now: int) -> T | None:
        """Remove and return the first thing whose time has come by `now`; None if there is none."""
        if not self._heap or self._heap[0][0] > now:
            return None
        return heappop(self._heap)[2]
