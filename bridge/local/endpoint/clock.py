"""The one clock of an endpoint: it never goes back, and can be told as a time of day."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Seconds from an arbitrary start, and the milliseconds since 1970 that they stand for."""

    def now(self) -> float:
        """Seconds, never less than before."""
        ...

    def milliseconds(self, moment: float) -> int:
        """The time of day of `moment`, in milliseconds since 1970."""
        ...

    def moment(self, milliseconds: int) -> float:
        """The moment that has the time of day `milliseconds`."""
        ...


class SystemClock:
    """The monotonic clock of the machine, compared once with its time of day."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        """Seconds, never less than before; the clock of the event loop too."""
        return time.monotonic()

    def milliseconds(self, moment: float) -> int:
        """The time of day of `moment`, in milliseconds since 1970."""
        return int((moment + self._offset) * 1000)

    def moment(self, milliseconds: int) -> float:
        """The moment that has the time of day `milliseconds`."""
        return milliseconds / 1000 - self._offset


def earliest(*moments: float | None) -> float | None:
    """The first of the moments, or the shortest of the durations, that there are."""
    return min((each for each in moments if each is not None), default=None)
