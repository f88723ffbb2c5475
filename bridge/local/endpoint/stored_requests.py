"""Requests about messages that are not locked: peeking, deferred ones, scheduling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from uuid import UUID

from proton import UNDESCRIBED, Array, Data

from bridge.local.endpoint.arguments import Body, elements, number, numbers
from bridge.local.endpoint.intake import Intake
from bridge.local.endpoint.outcomes import ARGUMENT_ERROR, Refused
from bridge.local.endpoint.queue import Queue
from bridge.local.endpoint.requests import Reply

if TYPE_CHECKING:
    from proton._data import PythonAMQPData

# Messages in one reply, and bytes beyond which no more are added; the service bounds it too (how,
# is not documented).
_MOST_PEEKED = 250
_MOST_PEEKED_BYTES = 1_048_576


def peek_message(queue: Queue, body: Body) -> Reply:
    """Messages from a sequence number on; fewer than were asked for if they are large."""
    first = number(body.get("from-sequence-number"))
    count = number(body.get("message-count"))
    if count < 1:
        raise Refused(ARGUMENT_ERROR, "The count of messages to peek at is less than 1.")
    found: list[PythonAMQPData] = []
    room = _MOST_PEEKED_BYTES
    for data in queue.peek(first, min(count, _MOST_PEEKED)):
        found.append({"message": data})
        room -= len(data)
        if room <= 0:
            break
    return Reply(200, "OK", body={"messages": found}) if found else Reply(204, "No messages.")


def receive_by_sequence_number(queue: Queue, body: Body) -> Reply:
    """Deferred messages, all of those that are named or none."""
    # 0 is what the SDK asks for to receive and delete.
    locks = body.get("receiver-settle-mode") != 0
    received: list[PythonAMQPData] = [
        {"message": data, "lock-token": UUID(bytes_le=token)}  # type: ignore[dict-item]
        for token, data in queue.receive_deferred(numbers(body), locks=locks)
    ]
    return Reply(200, "OK", body={"messages": received})


def schedule_message(entity: Intake, body: Body) -> Reply:
    """Store messages for later; the reply has their sequence numbers, by which to cancel them."""
    messages = []
    for each in elements(body, "messages"):
        data = each.get("message") if isinstance(each, Mapping) else None
        if not isinstance(data, bytes | bytearray | memoryview):
            raise Refused(ARGUMENT_ERROR, "A message to schedule has no bytes.")
        messages.append(bytes(data))
    given = Array(UNDESCRIBED, Data.LONG, *entity.schedule(messages))  # type: ignore[arg-type]
    return Reply(200, "OK", body={"sequence-numbers": given})


def cancel_scheduled_message(entity: Intake, body: Body) -> Reply:
    """Take back scheduled messages, all of those that are named or none."""
    entity.cancel(numbers(body))
    return Reply(200, "OK")
