"""Where a message goes that no receiver has completed: back, among the dead letters, or nowhere."""

from __future__ import annotations

from typing import Protocol

from bridge.local.endpoint.config import EntityConfig
from bridge.local.endpoint.counters import Counters
from bridge.local.endpoint.message import State, StoredMessage
from bridge.local.endpoint.render import with_properties
from bridge.local.endpoint.settlement import DESCRIPTION, REASON, encoded
from bridge.local.endpoint.store import Store


class Timekeeper(Protocol):
    """The queue of the messages, which knows the time and is called when it has come."""

    def today(self) -> int:
        """The time of day, in milliseconds since 1970."""
        ...

    def arm_at(self, today: int | None) -> None:
        """Ask to be called at a time of day, in milliseconds since 1970; None: not at all."""
        ...


class Graveyard(Protocol):
    """The dead-letter queue of the queue."""

    def bury(self, message: StoredMessage) -> None:
        """Take a message that is no longer in its queue."""
        ...


class Aftermath:
    """Moves messages of `store` and counts them; without `dead_letters` none of them is buried."""

    def __init__(
        self,
        store: Store,
        config: EntityConfig,
        counters: Counters,
        timekeeper: Timekeeper,
        dead_letters: Graveyard | None,
    ) -> None:
        self._store = store
        self._config = config
        self._counters = counters
        self._timekeeper = timekeeper
        self._dead_letters = dead_letters

    def put_back(self, message: StoredMessage) -> None:
        """Let it wait again, or be deferred again, unless it has expired meanwhile."""
        if message.state is State.DEFERRED:
            self._store.set_aside(message)
        elif message.has_expired(self._timekeeper.today()):
            self.expire(message)
        else:
            self._store.put_back(message)
            self._timekeeper.arm_at(message.expires_at)

    def fail(self, message: StoredMessage) -> None:
        """Count a delivery that failed: it was the last, or the message is put back."""
        message.failed_deliveries += 1
        most = self._config.max_delivery_count
        if self._dead_letters is not None and message.failed_deliveries >= most:
            self._bury_for(
                message,
                "MaxDeliveryCountExceeded",
                f"Message could not be consumed after {most} delivery attempts.",
            )
        else:
            self.put_back(message)

    def expire(self, message: StoredMessage) -> None:
        """Its time to live is over."""
        self._counters.expired += 1
        if self._config.dead_letter_on_expiry and self._dead_letters is not None:
            self._bury_for(
                message, "TTLExpiredException", "The message expired and was dead lettered."
            )
        else:
            self._store.remove(message)

    def bury(self, message: StoredMessage) -> None:
        """Move it to the dead-letter queue, which there must be."""
        assert self._dead_letters is not None
        self._counters.dead_lettered += 1
        self._store.remove(message)
        self._dead_letters.bury(message)

    def _bury_for(self, message: StoredMessage, reason: str, description: str) -> None:
        why = encoded({REASON: reason, DESCRIPTION: description})
        self._store.change(message, with_properties(message.data, why))
        self.bury(message)
