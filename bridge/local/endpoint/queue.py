"""One queue: what it stores, whom it delivers to, and what becomes of a delivered message.

Nothing here knows of sockets or AMQP links. A message is in one of three places: in the backlog
(active), in the lock table (locked), or put aside (deferred), where only who knows its sequence
number receives it; back from there it goes there again.

    accept -> active -> deliver -> locked -> complete                     -> gone
                ^                    |----> abandon, lock expired         -> active, or dead letter
                '--------------------'----> release (not counted)         -> active
                                     |----> defer                         -> deferred
                                     '----> dead_letter                   -> dead-letter queue
"""

from __future__ import annotations

import os
from collections import deque
from dataclasses import asdict
from heapq import merge, nsmallest
from itertools import islice
from typing import Protocol

from bridge.local.endpoint.backlog import Backlog, StoredMessage
from bridge.local.endpoint.batch import Arrival
from bridge.local.endpoint.clock import Clock
from bridge.local.endpoint.config import EntityConfig
from bridge.local.endpoint.intake import Intake
from bridge.local.endpoint.journal import Journal
from bridge.local.endpoint.locks import LockTable
from bridge.local.endpoint.outcomes import MESSAGE_NOT_FOUND, Refused
from bridge.local.endpoint.render import render, with_properties


class Consumer(Protocol):
    """A receiver as a queue sees it."""

    locks: bool
    """Whether its messages are locked (peek-lock) rather than deleted as they go out."""
    waiting: bool
    """Kept by the queue: whether the consumer stands in its line."""

    def ready(self) -> bool:
        """Whether one more message can be sent now."""
        ...

    def deliver(self, token: bytes, data: bytes) -> None:
        """Send one message; the token is its delivery tag."""
        ...


class Queue(Intake):
    """A queue or a subscription or, if it has no `dead_letters`, the dead-letter queue of one."""

    def __init__(
        self,
        name: str,
        config: EntityConfig,
        clock: Clock,
        dead_letters: Queue | None = None,
        journal: Journal | None = None,
    ) -> None:
        super().__init__(name, config, clock, journal)
        self.dead_letters = dead_letters
        self._backlog = Backlog()
        self._locks = LockTable(config.lock_duration)
        self._deferred: dict[int, StoredMessage] = {}
        self._line: deque[Consumer] = deque()

    @property
    def next_sequence_number(self) -> int:
        """The number that the next new message will get."""
        return self._backlog.next_sequence_number

    def store(self, arrival: Arrival, fresh: list[int] | range, enqueued_at: int) -> None:
        """Let the messages of `arrival` at the positions `fresh` wait for receivers."""
        self._backlog.append(arrival, fresh, enqueued_at)
        self.dispatch()

    # Delivery

    def hungry(self, consumer: Consumer) -> None:
        """Let `consumer` stand in line, because it may be ready now."""
        if not consumer.waiting:
            consumer.waiting = True
            self._line.append(consumer)

    def leave(self, consumer: Consumer) -> None:
        """Forget `consumer`; what it has locked stays locked until the locks end."""
        if consumer.waiting:
            consumer.waiting = False
            self._line.remove(consumer)

    def dispatch(self) -> None:
        """Deliver what can be delivered: one message each to those in line, again and again."""
        line, backlog = self._line, self._backlog
        while line and backlog:
            consumer = line[0]
            if consumer.ready():
                line.rotate(-1)
                self._deliver(consumer, backlog.take())
            else:
                consumer.waiting = False
                line.popleft()

    def _deliver(self, consumer: Consumer, message: StoredMessage) -> None:
        counters = self.counters
        counters.delivered += 1
        if message.deliveries:
            counters.redelivered += 1
        message.deliveries += 1
        token = os.urandom(16)
        if not consumer.locks:
            counters.deleted += 1
            consumer.deliver(token, render(message, None))
            return
        first = not self._locks
        deadline = self._locks.add(token, message, self._clock.now())
        if first:
            self.arm(deadline)
        consumer.deliver(token, render(message, self._clock.milliseconds(deadline)))

    def receive_deferred(self, numbers: list[int], *, locks: bool) -> list[tuple[bytes, bytes]]:
        """The deferred messages of these sequence numbers: of each its lock token and its bytes.

        Raises Refused, and none is received, unless all are there. locks: or they are deleted.
        """
        if missing := [number for number in numbers if number not in self._deferred]:
            raise Refused(
                MESSAGE_NOT_FOUND,
                "Failed to lock one or more specified messages. The message does not exist:"
                f" {', '.join(map(str, missing))}.",
            )
        received = []
        for message in [self._deferred.pop(number) for number in dict.fromkeys(numbers)]:
            self.counters.delivered += 1
            self.counters.redelivered += 1
            message.deliveries += 1
            token = os.urandom(16)
            until = None
            if locks:
                deadline = self._locks.add(token, message, self._clock.now())
                self.arm(deadline)
                until = self._clock.milliseconds(deadline)
            else:
                self.counters.deleted += 1
            received.append((token, render(message, until)))
        return received

    def peek(self, first: int, count: int) -> list[bytes]:
        """Up to `count` messages from a sequence number on, whatever their state; they stay."""
        aside = (each for each in (*self._locks.messages(), *self._deferred.values()))
        near = nsmallest(count, (each for each in aside if each.sequence_number >= first))
        found = islice(merge(near, self._backlog.peek(first, count)), count)
        return [render(message, None) for message in found]

    # Settlement

    def check(self, token: bytes) -> None:
        """Raises Refused unless the lock under `token` is held."""
        self._locks.held(token, self._clock.now())

    def complete(self, token: bytes) -> None:
        """Remove the message. Raises Refused if its lock is lost."""
        self._locks.end(token, self._clock.now())
        self.counters.completed += 1

    def release(self, token: bytes) -> None:
        """Make the message available again, as if it had not been delivered. Raises Refused."""
        message = self._locks.end(token, self._clock.now())
        self.counters.released += 1
        self._put_back(message)
        self.dispatch()

    def defer(self, token: bytes) -> None:
        """Put the message aside, until it is received by its number. Raises Refused."""
        message = self._locks.end(token, self._clock.now())
        self.counters.deferred += 1
        message.deferred = True
        self._put_back(message)

    def _put_back(self, message: StoredMessage) -> None:
        if message.deferred:
            self._deferred[message.sequence_number] = message
        else:
            self._backlog.put_back(message)

    def abandon(self, token: bytes) -> None:
        """Make the message available again after a failed delivery. Raises Refused."""
        message = self._locks.end(token, self._clock.now())
        self.counters.abandoned += 1
        self._failed(message)
        self.dispatch()

    def dead_letter(self, token: bytes, reason: str | None, description: str | None) -> None:
        """Move the message to the dead-letter queue. Raises Refused.

        On a dead-letter queue itself the message stays where it is, as if it were released.
        """
        if self.dead_letters is None:
            self.release(token)
            return
        self._bury(self._locks.end(token, self._clock.now()), reason, description)

    def renew(self, token: bytes) -> int:
        """Lock the message for another duration. Raises Refused if its lock is lost.

        Returns the end of the lock in milliseconds since 1970.
        """
        deadline = self._locks.renew(token, self._clock.now())
        self.counters.locks_renewed += 1
        return self._clock.milliseconds(deadline)

    def _failed(self, message: StoredMessage) -> None:
        message.failed_deliveries += 1
        most = self.config.max_delivery_count
        if self.dead_letters is not None and message.failed_deliveries >= most:
            self._bury(
                message,
                "MaxDeliveryCountExceeded",
                f"Message could not be consumed after {most} delivery attempts.",
            )
        else:
            self._put_back(message)

    def _bury(self, message: StoredMessage, reason: str | None, description: str | None) -> None:
        assert self.dead_letters is not None
        given = {"DeadLetterReason": reason, "DeadLetterErrorDescription": description}
        properties = {name: text for name, text in given.items() if text is not None}
        if properties:
            message.data = with_properties(message.data, properties)
        self.counters.dead_lettered += 1
        self.dead_letters.bury(message)

    def bury(self, message: StoredMessage) -> None:
        """Take a message that comes from the queue this is the dead-letter queue of."""
        message.deliveries = 0
        message.deferred = False
        self.counters.stored += 1
        self._backlog.put_back(message)
        self.dispatch()

    # Time

    def run_once(self) -> float | None:
        """Make available again what has been locked too long; return the next deadline, if any."""
        now = self._clock.now()
        self._duplicates.forget(now)
        for message in self._locks.take_expired(now):
            self.counters.lock_expired += 1
            self._failed(message)
        self.dispatch()
        return self._locks.next_deadline()

    def _held(self) -> int:
        return len(self._backlog) + len(self._locks) + len(self._deferred)

    def counts(self) -> dict[str, int]:
        """The counters, and how many messages the queue holds now."""
        held = self.dead_letters
        return asdict(self.counters) | {
            "active": len(self._backlog),
            "locked": len(self._locks),
            "deferred_now": len(self._deferred),
            "dead_letter_count": 0 if held is None else held._held(),
            "remembered_ids": len(self._duplicates),
            "waiting_receivers": len(self._line),
        }
