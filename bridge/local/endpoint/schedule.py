"""Messages that were accepted for a later time, and are not in their queue yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bridge.local.endpoint.agenda import Agenda
from bridge.local.endpoint.batch import Arrival
from bridge.local.endpoint.message import State, StoredMessage
from bridge.local.endpoint.shelf import Shelf


class Schedule:
    """Each message waits for its time; until then it can be cancelled by its number.

    size: bytes of all of them.
    """

    def __init__(self) -> None:
        self.size = 0
        self._shelf = Shelf()
        self._arrivals: dict[int, Arrival] = {}
        self._agenda: Agenda[int] = Agenda()

    def __len__(self) -> int:
        return len(self._shelf)

    def add(self, number: int, arrival: Arrival, position: int) -> None:
        """Keep one message of `arrival`, which says when, under a sequence number."""
        alone = arrival.alone(position)
        at = arrival.due[position]
        message = StoredMessage(number, at, alone.data)
        message.state = State.SCHEDULED
        self._shelf.add(message)
        self._arrivals[number] = alone
        self._agenda.add(at, number)
        self.size += len(alone.data)

    def missing(self, numbers: Iterable[int]) -> list[int]:
        """Which of `numbers` are not scheduled."""
        return [number for number in numbers if self._shelf.get(number) is None]

    def remove(self, number: int) -> Arrival | None:
        """Forget a message and return it; None if its number is not scheduled."""
        arrival = self._arrivals.pop(number, None)
        if arrival is not None:
            self._shelf.discard(number)
            self.size -= len(arrival.data)
        return arrival

    def walk(self, first: int) -> Iterator[StoredMessage]:
        """The messages from the sequence number `first` on, in order; they stay."""
        return self._shelf.walk(first)

    def take_due(self, now: int, most: int) -> list[Arrival]:
        """Remove and return up to `most` messages whose time has come."""
        due: list[Arrival] = []
        while len(due) < most and (number := self._agenda.take(now)) is not None:
            if (arrival := self.remove(number)) is not None:
                due.append(arrival)
        return due

    def next_time(self) -> int | None:
        """When the next message is due, in milliseconds since 1970; None if none is."""
        return self._agenda.next_time()
