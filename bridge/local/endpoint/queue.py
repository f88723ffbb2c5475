"""One queue: what it stores, whom it delivers to, and what becomes of a delivered message.

Nothing here knows of sockets or AMQP links.

    accept -> active -> deliver -> locked -> complete                     -> gone
                ^                    |----> abandon, lock expired         -> active, or dead letter
                '--------------------'----> release (not counted)         -> active
                                     |----> defer                         -> deferred
                                     '----> dead_letter                   -> dead-letter queue

A deferred message is received by its sequence number only, and goes back to where it was deferred.
What is active when its time to live is over goes to the dead-letter queue or is gone; what is
locked then, when it would be active again; what is deferred, when somebody asks for it.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from heapq import merge
from itertools import islice

from bridge.local.endpoint.aftermath import Aftermath
from bridge.local.endpoint.batch import Arrival
from bridge.local.endpoint.clock import Clock, earliest
from bridge.local.endpoint.config import EntityConfig
from bridge.local.endpoint.intake import AT_ONCE, Intake
from bridge.local.endpoint.journal import Journal
from bridge.local.endpoint.line import Consumer, Line
from bridge.local.endpoint.locks import LockTable
from bridge.local.endpoint.message import Place, StoredMessage
from bridge.local.endpoint.outcomes import MESSAGE_NOT_FOUND, Refused
from bridge.local.endpoint.render import render, with_properties
from bridge.local.endpoint.settlement import RELEASE, Decision, Settlement
from bridge.local.endpoint.store import Store


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
        ttl = config.default_ttl
        self._store = Store(None if ttl is None else round(ttl * 1000))
        self._locks = LockTable(config.lock_duration)
        self._line = Line()
        self._aftermath = Aftermath(self._store, config, self.counters, self, dead_letters)

    @property
    def next_sequence_number(self) -> int:
        """The number that the next new message will get."""
        return self._store.last_number + 1

    def new_number(self) -> int:
        """A sequence number for a message that is not stored yet."""
        return self._store.number()

    def store(self, arrival: Arrival, fresh: list[int] | range, enqueued_at: int) -> None:
        """Let the messages of `arrival` at the positions `fresh` wait for receivers."""
        self._store.append(arrival, fresh, enqueued_at)
        self.dispatch()
        self.arm_at(self._store.next_expiry())

    # Delivery

    def hungry(self, consumer: Consumer) -> None:
        """Let `consumer` stand in line, because it may be ready now."""
        self._line.join(consumer)

    def leave(self, consumer: Consumer) -> None:
        """Forget `consumer`; what it has locked stays locked until the locks end."""
        self._line.leave(consumer)

    def dispatch(self) -> None:
        """Deliver what can be delivered: one message each to those in line, again and again."""
        store, line = self._store, self._line
        while store.count(Place.WAITING) and (consumer := line.next()) is not None:
            message = store.take()
            if message.expires_at is not None and message.has_expired(self.today()):
                self._aftermath.expire(message)
            else:
                consumer.deliver(*self._lend(message, locks=consumer.locks))

    def _lend(self, message: StoredMessage, *, locks: bool) -> tuple[bytes, bytes]:
        """Lock a message, or let it go: its lock token and its bytes."""
        counters = self.counters
        counters.delivered += 1
        if message.deliveries:
            counters.redelivered += 1
        message.deliveries += 1
        token = os.urandom(16)
        if not locks:
            counters.deleted += 1
            self._store.remove(message)
            return token, render(message, None)
        first = not self._locks
        deadline = self._locks.add(token, message, self._clock.now())
        self._store.hold(message)
        if first:
            self.arm(deadline)
        return token, render(message, self._clock.milliseconds(deadline))

    def receive_deferred(self, numbers: list[int], *, locks: bool) -> list[tuple[bytes, bytes]]:
        """The deferred messages of these sequence numbers: of each its lock token and its bytes.

        Raises Refused, and none is received, unless all are there. locks: or they are deleted.
        """
        now = self.today()
        found = {number: self._store.deferred(number) for number in numbers}
        for message in found.values():
            if message is not None and message.has_expired(now):
                self._aftermath.expire(message)
        if missing := [number for number in found if self._store.deferred(number) is None]:
            raise Refused(
                MESSAGE_NOT_FOUND,
                "Failed to lock one or more specified messages. The message does not exist:"
                f" {', '.join(map(str, missing))}.",
            )
        return [self._lend(each, locks=locks) for each in found.values() if each is not None]

    def peek(self, first: int, count: int) -> list[bytes]:
        """Up to `count` messages from a sequence number on, whatever their state; they stay."""
        found = merge(self._store.walk(first), self._schedule.walk(first))
        return [render(message, None) for message in islice(found, count)]

    # Settlement

    def check(self, token: bytes) -> None:
        """Raises Refused unless the lock under `token` is held."""
        self._locks.held(token, self._clock.now())

    def renew(self, token: bytes) -> int:
        """Lock the message for another duration. Raises Refused if its lock is lost.

        Returns the end of the lock in milliseconds since 1970.
        """
        deadline = self._locks.renew(token, self._clock.now())
        self.counters.locks_renewed += 1
        return self._clock.milliseconds(deadline)

    def settle(self, token: bytes, settlement: Settlement) -> None:
        """Do with a locked message what its receiver has decided. Raises Refused.

        On a dead-letter queue nothing can be dead-lettered: it is released instead.
        """
        if settlement.decision is Decision.DEAD_LETTER and self.dead_letters is None:
            settlement = RELEASE
        message = self._locks.end(token, self._clock.now())
        counters, decision = self.counters, settlement.decision
        if settlement.properties:
            self._store.change(message, with_properties(message.data, settlement.properties))
        if decision is Decision.COMPLETE:
            counters.completed += 1
            self._store.remove(message)
            return
        if decision is Decision.DEAD_LETTER:
            self._aftermath.bury(message)
        elif decision is Decision.DEFER:
            counters.deferred += 1
            self._store.set_aside(message)
        elif decision is Decision.ABANDON:
            counters.abandoned += 1
            self._aftermath.fail(message)
        else:
            counters.released += 1
            self._aftermath.put_back(message)
        self.dispatch()

    def bury(self, message: StoredMessage) -> None:
        """Take a message that comes from the queue this is the dead-letter queue of."""
        self.counters.stored += 1
        self._store.add(message.dead())
        self.dispatch()

    # Time

    def run_once(self) -> float | None:
        """Do what is due: make available what was locked too long or scheduled, and expire.

        Returns when to be called again, if there is need.
        """
        now = self._clock.now()
        self._duplicates.forget(now)
        self.enqueue_due()
        for message in self._locks.take_expired(now):
            self.counters.lock_expired += 1
            self._aftermath.fail(message)
        for message in self._store.expire(self._clock.milliseconds(now), AT_ONCE):
            self._aftermath.expire(message)
        self.dispatch()
        times = self._store.next_expiry(), self._schedule.next_time()
        moments = (self._clock.moment(each) for each in times if each is not None)
        return earliest(self._locks.next_deadline(), *moments)

    def size(self) -> int:
        """The bytes of all that it holds, its dead letters included."""
        buried = 0 if self.dead_letters is None else self.dead_letters.size()
        return self._store.size + self._schedule.size + buried

    def counts(self) -> dict[str, int]:
        """The counters, and what the queue holds now: messages by their state, and bytes."""
        buried = self.dead_letters
        return asdict(self.counters) | {
            "active": self._store.count(Place.WAITING),
            "locked": self._store.count(Place.LOCKED),
            "deferred_now": self._store.count(Place.DEFERRED),
            "scheduled_now": len(self._schedule),
            "dead_letter_count": 0 if buried is None else len(buried._store),
            "size_bytes": self._store.size + self._schedule.size,
            "remembered_ids": len(self._duplicates),
            "waiting_receivers": len(self._line),
        }
