"""The timer of one queue: it ends the locks that are due, and forgets old message ids."""

from __future__ import annotations

import asyncio

from bridge.local.endpoint.queue import Queue

# Locks that end within this many seconds of each other are ended together.
_GRAIN = 0.005
# Message ids are forgotten at least this often, in seconds, even if nothing arrives.
_IDLE = 1.0


class Sweeper:
    """Calls `run_once` of a queue when its next lock ends, and once a second."""

    def __init__(self, queue: Queue, loop: asyncio.AbstractEventLoop) -> None:
        self._queue = queue
        self._loop = loop
        self._timer = loop.call_later(_IDLE, self._run)
        queue.arm = self._arm

    def stop(self) -> None:
        """Run no more."""
        self._queue.arm = lambda deadline: None
        self._timer.cancel()

    def _arm(self, deadline: float) -> None:
        if deadline + _GRAIN < self._timer.when():
            self._timer.cancel()
            self._timer = self._loop.call_at(deadline + _GRAIN, self._run)

    def _run(self) -> None:
        deadline = self._queue.run_once()
        latest = self._loop.time() + _IDLE
        self._timer = self._loop.call_at(
            latest if deadline is None else min(deadline + _GRAIN, latest), self._run
        )
