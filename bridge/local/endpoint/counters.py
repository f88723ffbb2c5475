"""What one queue has counted since it was made."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Totals of one queue; `Queue.counts` adds how many messages it holds now.

    received: messages accepted, duplicates included; received = duplicates_dropped + stored.
    delivered: every time a message went out; redelivered: those after its first time.
    completed: removed by a receiver that had locked them; deleted: removed as they went out, to a
    receiver that locks nothing. released: given back without being counted as a failed delivery.
    dead_lettered: moved to the dead-letter queue, by a receiver, after too many deliveries or when
    they expired. expired: waited for longer than they live. scheduled: those of the stored that
    were accepted for a later time; cancelled: those of them that were taken back.
    sends_accepted, sends_rejected: transfers, whatever number of messages they carried.
    """

    received: int = 0
    duplicates_dropped: int = 0
    stored: int = 0
    delivered: int = 0
    redelivered: int = 0
    completed: int = 0
    deleted: int = 0
    abandoned: int = 0
    deferred: int = 0
    released: int = 0
    dead_lettered: int = 0
    lock_expired: int = 0
    expired: int = 0
    scheduled: int = 0
    cancelled: int = 0
    locks_renewed: int = 0
    sends_accepted: int = 0
    sends_rejected: int = 0
