"""A topic: what is sent to it is stored for each of its subscriptions.

There are no filters: each gets every message. The bytes of a send without duplicates are in memory
once, however many subscriptions share them.
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


class Subscription(Queue):
    """A queue that nobody sends to: its topic stores in it what it has accepted."""


class Topic(Intake):
    """A topic and its subscriptions by name. Without any, what it accepts is gone, but counted."""

    def __init__(
        self,
        name: str,
        config: EntityConfig,
        clock: Clock,
        subscriptions: Mapping[str, Subscription],
        journal: Journal | None = None,
    ) -> None:
        super().__init__(name, config, clock, journal)
        self.subscriptions = subscriptions
        self._last = 0

    @property
    def next_sequence_number(self) -> int:
        """The number that the next new message will get; each subscription counts anew."""
        return self._last + 1

    def new_number(self) -> int:
        """A sequence number for a message that is not stored yet."""
        self._last += 1
        return self._last

    def store(self, arrival: Arrival, fresh: list[int] | range, enqueued_at: int) -> None:
        """Let the messages wait in every subscription."""
        self._last += len(fresh)
        for subscription in self.subscriptions.values():
            subscription.counters.received += len(fresh)
            subscription.counters.stored += len(fresh)
            subscription.store(arrival, fresh, enqueued_at)

    def size(self) -> int:
        """The bytes of what is scheduled and of what has not left its fullest subscription."""
        fullest = max((each.size() for each in self.subscriptions.values()), default=0)
        return self._schedule.size + fullest

    def run_once(self) -> float | None:
        """Forget the ids that the window has passed over, and store what was scheduled for now.

        Returns when to be called again, if there is need.
        """
        self._duplicates.forget(self._clock.now())
        self.enqueue_due()
        due = self._schedule.next_time()
        return None if due is None else self._clock.moment(due)

    def counts(self) -> dict[str, int]:
        """The counters, what is scheduled, and the ids that are remembered."""
        return asdict(self.counters) | {
            "scheduled_now": len(self._schedule),
            "remembered_ids": len(self._duplicates),
        }
