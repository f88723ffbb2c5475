"""What an entity makes of a transfer: reads it, drops duplicates, records it, has it stored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from bridge.local.endpoint.batch import Arrival, read_transfer, too_large
from bridge.local.endpoint.clock import Clock
from bridge.local.endpoint.config import EntityConfig
from bridge.local.endpoint.counters import Counters
from bridge.local.endpoint.duplicates import DuplicateWindow
from bridge.local.endpoint.journal import Journal
from bridge.local.endpoint.outcomes import INTERNAL_ERROR, Refused


class Intake(ABC):
    """An entity that messages are sent to: a queue or a topic.

    `arm` is called when a lock may now be the first to end, with its deadline.
    """

    def __init__(
        self, name: str, config: EntityConfig, clock: Clock, journal: Journal | None
    ) -> None:
        self.name = name
        self.config = config
        self.counters = Counters()
        self.arm: Callable[[float], None] = lambda deadline: None
        self._clock = clock
        self._journal = journal
        self._duplicates = DuplicateWindow(config.duplicate_window)

    @property
    @abstractmethod
    def next_sequence_number(self) -> int:
        """The number that the next new message will get."""

    @abstractmethod
    def store(self, arrival: Arrival, fresh: list[int] | range, enqueued_at: int) -> None:
        """Keep the messages of `arrival` at the positions `fresh`, in that order.

        enqueued_at: milliseconds since 1970.
        """

    @property
    def largest(self) -> int:
        """Bytes beyond which a transfer is refused, whatever it carries."""
        return max(self.config.message_bytes, self.config.max_batch_bytes)

    def refuse_large(self, size: int) -> Refused:
        """Why a transfer of `size` bytes is not taken, which is counted."""
        self.counters.sends_rejected += 1
        return too_large(size, self.largest)

    def accept(self, data: bytes, message_format: int) -> None:
        """Store the messages of one transfer, all of them or none. Raises Refused."""
        counters = self.counters
        try:
            arrival = read_transfer(data, message_format, self.config)
            now = self._clock.now()
            unseen = self._duplicates.unseen(arrival.ids, now)
            if unseen is None:
                fresh: list[int] | range = range(len(arrival.ids))
                ids = arrival.ids
            else:
                fresh = list(unseen)
                ids = [arrival.ids[position] for position in fresh]
            self._record(ids)
        except Refused:
            counters.sends_rejected += 1
            raise
        counters.sends_accepted += 1
        counters.received += len(arrival.ids)
        counters.stored += len(fresh)
        counters.duplicates_dropped += len(arrival.ids) - len(fresh)
        if fresh:
            self._duplicates.remember(ids, now)
            self.store(arrival, fresh, self._clock.milliseconds(now))

    def _record(self, ids: list[bytes | None]) -> None:
        if self._journal is None or not ids:
            return
        try:
            self._journal.record(self.name, self.next_sequence_number, ids)
        except OSError as error:
            raise Refused(INTERNAL_ERROR, f"The journal cannot be written: {error}.") from error
