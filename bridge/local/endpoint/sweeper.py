"""The timer of one entity: it ends locks, expires and enqueues messages, forgets old ids."""

from __future__ import annotations

import asyncio

from bridge.local.endpoint.queue import Queue
from bridge.local.endpoint.topic import Topic

# What is due within this many seconds of each other is done together.
_GRAIN = 0.005
# Message ids are forgotten at least this often, in seconds, even if nothing arrives.
_IDLE = 1.0


class Sweeper:
    """Calls `run_once` of an entity when there is something to do, and once a second."""

    def __init__(self, entity: Queue | Topic, loop: asyncio.AbstractEventLoop) -> None:
        self._entity = entity
        self._loop = loop
        self._timer = loop.call_later(_IDLE, self._run)
        entity.arm = self._arm

    def stop(self) -> None:
        """Run no more."""
        self._entity.arm = lambda deadline: None
        self._timer.cancel()

    def _arm(self, deadline: float) -> None:
        if deadline + _GRAIN < self._timer.when():
            self._timer.cancel()
            self._timer = self._loop.call_at(deadline + _GRAIN, self._run)

    def _run(self) -> None:
        deadline = self._entity.run_once()
        latest = self._loop.time() + _IDLE
        self._timer = self._loop.call_at(
            latest if deadline is None else min(deadline + _GRAIN, latest), self._run
        )
