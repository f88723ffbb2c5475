"""What an entity makes of a transfer: reads it, drops duplicates, records it, has it stored.

What is scheduled for later is kept aside and stored when it is due, under another number.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from bridge.local.endpoint.batch import Arrival, joined, read_transfer, too_large
from bridge.local.endpoint.clock import Clock
from bridge.local.endpoint.config import EntityConfig
from bridge.local.endpoint.counters import Counters
from bridge.local.endpoint.duplicates import DuplicateWindow
from bridge.local.endpoint.journal import Journal
from bridge.local.endpoint.outcomes import INTERNAL_ERROR, MESSAGE_NOT_FOUND, Refused, full
from bridge.local.endpoint.schedule import Schedule

#: Messages that expire, or become due, in one go; between two goes others have their turn.
AT_ONCE = 1_000


class Intake(ABC):
    """An entity that messages are sent to: a queue or a topic.

    `arm` is called when something may now be the next to do, with its moment.
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
        self._schedule = Schedule()

    @property
    @abstractmethod
    def next_sequence_number(self) -> int:
        """The number that the next new message will get."""

    @abstractmethod
    def new_number(self) -> int:
        """A sequence number for a message that is not stored yet."""

    @abstractmethod
    def store(self, arrival: Arrival, fresh: list[int] | range, enqueued_at: int) -> None:
        """Keep the messages of `arrival` at the positions `fresh`, in that order.

        enqueued_at: milliseconds since 1970.
        """

    @abstractmethod
    def size(self) -> int:
        """The bytes that it holds now."""

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
        try:
            arrival = read_transfer(data, message_format, self.config)
            self._make_room(len(data))
            self._take(arrival)
        except Refused:
            self.counters.sends_rejected += 1
            raise
        self.counters.sends_accepted += 1

    def schedule(self, messages: list[bytes]) -> list[int]:
        """Store messages that each say when; all of them or none. Raises Refused.

        Returns the sequence number of each, 0 for a duplicate.
        """
        arrivals = [read_transfer(data, 0, self.config) for data in messages]
        self._make_room(sum(map(len, messages)))
        first, arrival = self.next_sequence_number, joined(arrivals)
        numbers = dict(zip(self._take(arrival), range(first, first + len(messages)), strict=False))
        return [numbers.get(position, 0) for position in range(len(messages))]

    def cancel(self, numbers: list[int]) -> None:
        """Forget scheduled messages, all of them or none. Raises Refused."""
        if missing := self._schedule.missing(numbers):
            raise Refused(
                MESSAGE_NOT_FOUND,
                f"No message is scheduled under {', '.join(map(str, missing))}.",
            )
        for number in set(numbers):
            self._schedule.remove(number)
            self.counters.cancelled += 1

    def enqueue_due(self) -> None:
        """Store what was scheduled for a time that has come."""
        today = self.today()
        for arrival in self._schedule.take_due(today, AT_ONCE):
            self.store(arrival, range(1), today)

    def _take(self, arrival: Arrival) -> list[int] | range:
        """Keep what is no duplicate; its positions in the order of their new numbers."""
        now = self._clock.now()
        unseen = self._duplicates.unseen(arrival.ids, now)
        fresh: list[int] | range = range(len(arrival.ids)) if unseen is None else list(unseen)
        today = self._clock.milliseconds(now)
        soon: list[int] | range = fresh
        later: list[int] = []
        if arrival.due:
            soon = [each for each in fresh if arrival.due.get(each, 0) <= today]
            later = [each for each in fresh if arrival.due.get(each, 0) > today]
        order = [*soon, *later] if later else fresh
        whole = len(fresh) == len(arrival.ids) and not later
        ids = arrival.ids if whole else [arrival.ids[position] for position in order]
        repeated = [] if unseen is None else set(range(len(arrival.ids))).difference(unseen)
        self._record(ids, [arrival.ids[position] for position in sorted(repeated)])
        self.counters.received += len(arrival.ids)
        self.counters.stored += len(fresh)
        self.counters.duplicates_dropped += len(arrival.ids) - len(fresh)
        self._duplicates.remember(ids, now)
        if soon:
            self.store(arrival, soon, today)
        for position in later:
            self._schedule.add(self.new_number(), arrival, position)
        if later:
            self.counters.scheduled += len(later)
            self.arm_at(self._schedule.next_time())
        return order

    def today(self) -> int:
        """The time of day, in milliseconds since 1970."""
        return self._clock.milliseconds(self._clock.now())

    def arm_at(self, today: int | None) -> None:
        """Ask to be called at a time of day, in milliseconds since 1970; None: not at all."""
        if today is not None:
            self.arm(self._clock.moment(today))

    def _make_room(self, size: int) -> None:
        """Raises Refused if the entity would hold too much with `size` bytes more."""
        limit = self.config.max_size_bytes
        if limit is not None and (held := self.size()) + size > limit:
            raise full(self.name, held, limit)

    def _record(self, ids: list[bytes | None], repeats: list[bytes | None]) -> None:
        if self._journal is None:
            return
        try:
            self._journal.record(self.name, self.next_sequence_number, ids, repeats)
        except OSError as error:
            raise Refused(INTERNAL_ERROR, f"The journal cannot be written: {error}.") from error
