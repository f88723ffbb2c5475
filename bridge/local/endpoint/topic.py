"""A topic: what is sent to it is stored for each of its subscriptions.

A subscription is a queue that nobody sends to. There are no filters: each gets every message. The
bytes of a send without duplicates are in memory once, however many subscriptions share them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from bridge.local.endpoint.batch import Arrival
from bridge.local.endpoint.clock import Clock
from bridge.local.endpoint.config import EntityConfig
from bridge.local.endpoint.intake import Intake
from bridge.local.endpoint.journal import Journal
from bridge.local.endpoint.queue import Queue


class Topic(Intake):
    """A topic and its subscriptions by name. Without any, what it accepts is gone, but counted."""

    def __init__(
        self,
        name: str,
        config: EntityConfig,
        clock: Clock,
        subscriptions: Mapping[str, Queue],
        journal: Journal | None = None,
    ) -> None:
        super().__init__(name, config, clock, journal)
        self.subscriptions = subscriptions
        self._last = 0

    @property
    def next_sequence_number(self) -> int:
        """The number that the next new message will get, in every subscription."""
        return self._last + 1

    def store(self, arrival: Arrival, fresh: list[int] | range, enqueued_at: int) -> None:
        """Let the messages wait in every subscription."""
        self._last += len(fresh)
        for subscription in self.subscriptions.values():
            subscription.counters.received += len(fresh)
            subscription.counters.stored += len(fresh)
            subscription.store(arrival, fresh, enqueued_at)

    def run_once(self) -> float | None:
        """Forget the ids that the window has passed over; there are no locks to end."""
        self._duplicates.forget(self._clock.now())
        return None

    def counts(self) -> dict[str, int]:
        """The counters, and the ids that are remembered."""
        return asdict(self.counters) | {"remembered_ids": len(self._duplicates)}
