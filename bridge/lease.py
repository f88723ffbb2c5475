"""How long a claimed batch is surely still ours, and calls that are repeated for only so long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bridge.errors import DatabaseUnavailable
from bridge.logs import EventLog

log = EventLog("stagebus.lane")

#: Seconds for which a bridge that drains goes on asking for a database that is away, or waits for
#: the answer to a send.
DRAIN_PATIENCE = 5.0

#: Seconds between two tries: from the first, doubled each time, to the longest.
FIRST_DELAY = 0.1
LONGEST_DELAY = 2.0

T = TypeVar("T")


class Lease:
    """The lease of one claim, judged so that it ends here no later than in the database.

    `seconds` is its length. It is counted from before the call that made or renewed it, so the
    clocks of bridge and database need not agree.
    """

    def __init__(self, seconds: float, claimed_at: float, stopping: asyncio.Event) -> None:
        self.seconds = seconds
        self._ends_at = claimed_at + seconds
        self._stopping = stopping

    @property
    def left(self) -> float:
        """Seconds; below 0 once it may have ended."""
        return self._ends_at - time.monotonic()

    async def renewed_by(self, call: Callable[[], Awaitable[bool]]) -> bool:
        """Makes `call`, persistently; when it answers True the lease has begun anew."""
        before = time.monotonic()
        renewed = await self.persistently(call)
        if renewed:
            self._ends_at = before + self.seconds
        return renewed

    async def persistently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Repeats `call` while the database is away, as long as the lease may still be ours.

        Every call may be repeated: the epoch decides what counts. A bridge that drains is less
        patient, since whoever stops it will not wait for ever. Raises DatabaseUnavailable.
        """
        delay = FIRST_DELAY
        drain_end: float | None = None
        while True:
            try:
                return await call()
            except DatabaseUnavailable as error:
                if self._stopping.is_set() and drain_end is None:
                    drain_end = time.monotonic() + DRAIN_PATIENCE
                give_up = min(self._ends_at, drain_end or self._ends_at)
                if time.monotonic() + delay >= give_up:
                    raise
                log.warning("database.unavailable", error=str(error), retry_in=delay)
                await asyncio.sleep(delay)
                delay = min(LONGEST_DELAY, delay * 2)
