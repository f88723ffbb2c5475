"""A claimed batch, its messages, the record of a send, a dead letter: what crosses both edges."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Claim:
    """A batch that is this bridge's until its lease ends: a row of claim_batches."""

    job_id: UUID
    batch_id: UUID
    stage: int
    claim_epoch: int
    dispatch: int
    task_type: str
    entity_kind: str
    entity: str
    max_send_bytes: int
    max_send_messages: int
    published_through: int
    last_index: int
    #: Of its stage; at least a 32nd of the largest.
    average_body_bytes: int
    atomic: bool
    #: Nothing of its destination can be claimed for so long; None: it has no rate limit.
    limited_for: timedelta | None = None


class Message(NamedTuple):
    """A row of batch_messages: one message, ready for the wire."""

    task_index: int
    message_id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class SendRecord:
    """What became of one send, for the ledger."""

    first_index: int
    last_index: int
    messages: int
    size: int
    seconds: float
    outcome: str
    error: str | None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What the broker says of a message that it gave up; never what is in it."""

    sequence_number: int
    message_id: str
    reason: str | None
    description: str | None
    delivery_count: int | None
    enqueued_at: datetime | None
    body_bytes: int | None
    """None where it is no AMQP data section."""
