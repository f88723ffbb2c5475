"""The node `$management` of a queue: renewing, settling by token, deferred messages, peeking.

Each operation names locks by their tokens, so it works the same over any connection; the
`associated-link-name` that a client may give is not needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from uuid import UUID

from proton import UNDESCRIBED, Array, Data, timestamp

from bridge.local.endpoint.outcomes import (
    ARGUMENT_ERROR,
    MESSAGE_LOCK_LOST,
    MESSAGE_NOT_FOUND,
    NOT_IMPLEMENTED,
    Refused,
)
from bridge.local.endpoint.queue import Queue
from bridge.local.endpoint.requests import Reply, Request

if TYPE_CHECKING:
    from proton._data import PythonAMQPData

# Messages in one reply; the service bounds it too (how, is not documented).
_MOST_PEEKED = 250
_STATUS = {
    ARGUMENT_ERROR: 400,
    MESSAGE_LOCK_LOST: 410,
    MESSAGE_NOT_FOUND: 404,
    NOT_IMPLEMENTED: 501,
}


# The operation that settles messages by their lock tokens.
SETTLE = "com.microsoft:update-disposition"


def answer(queue: Queue, request: Request) -> Reply:
    """The reply to one request about `queue`."""
    operation = _OPERATIONS.get(request.operation)
    try:
        if operation is None:
            raise Refused(
                NOT_IMPLEMENTED, f"The operation {request.operation!r} is not supported here."
            )
        if not isinstance(request.body, Mapping):
            raise Refused(ARGUMENT_ERROR, "The body of the request is not a map.")
        return operation(queue, request.body)
    except Refused as refused:
        status = _STATUS.get(refused.condition, 500)
        return Reply(status, refused.description, refused.condition)


def _renew_lock(queue: Queue, body: Mapping[object, object]) -> Reply:
    tokens = _tokens(queue, body)
    ends = [timestamp(queue.renew(token)) for token in tokens]
    expirations = Array(UNDESCRIBED, Data.TIMESTAMP, *ends)  # type: ignore[arg-type]
    return Reply(200, "OK", body={"expirations": expirations})


def _update_disposition(queue: Queue, body: Mapping[object, object]) -> Reply:
    tokens = _tokens(queue, body)
    status = body.get("disposition-status")
    reason, description = body.get("deadletter-reason"), body.get("deadletter-description")
    for token in tokens:
        if status == "completed":
            queue.complete(token)
        elif status == "abandoned":
            queue.abandon(token)
        elif status == "defered":
            queue.defer(token)
        elif status == "suspended":
            queue.dead_letter(
                token,
                reason if isinstance(reason, str) else None,
                description if isinstance(description, str) else None,
            )
        else:
            raise Refused(NOT_IMPLEMENTED, f"The status {status!r} is not supported here.")
    return Reply(200, "OK")


def _receive_by_sequence_number(queue: Queue, body: Mapping[object, object]) -> Reply:
    numbers = [_number(each) for each in _elements(body, "sequence-numbers")]
    # 0 is what the SDK asks for to receive and delete.
    locks = body.get("receiver-settle-mode") != 0
    received: list[PythonAMQPData] = [
        {"message": data, "lock-token": UUID(bytes_le=token)}  # type: ignore[dict-item]
        for token, data in queue.receive_deferred(numbers, locks=locks)
    ]
    return Reply(200, "OK", body={"messages": received})


def _peek_message(queue: Queue, body: Mapping[object, object]) -> Reply:
    first = _number(body.get("from-sequence-number"))
    count = _number(body.get("message-count"))
    if count < 1:
        raise Refused(ARGUMENT_ERROR, "The count of messages to peek at is less than 1.")
    found: list[PythonAMQPData] = [
        {"message": data} for data in queue.peek(first, min(count, _MOST_PEEKED))
    ]
    return Reply(200, "OK", body={"messages": found}) if found else Reply(204, "No messages.")


def _number(given: object) -> int:
    if isinstance(given, bool) or not isinstance(given, int):
        raise Refused(ARGUMENT_ERROR, "A whole number was expected.")
    return int(given)


def _elements(body: Mapping[object, object], name: str) -> list[object]:
    given = body.get(name)
    elements = given.elements if isinstance(given, Array) else given
    if not isinstance(elements, list | tuple) or not elements:
        raise Refused(ARGUMENT_ERROR, f"The request has no array '{name}'.")
    return list(elements)


def _tokens(queue: Queue, body: Mapping[object, object]) -> list[bytes]:
    """The tokens of a request, as delivery tags, if the locks under all of them are held.

    A token is a GUID: in a delivery tag its first three parts are little-endian.
    """
    tokens = []
    for each in _elements(body, "lock-tokens"):
        if not isinstance(each, UUID):
            raise Refused(ARGUMENT_ERROR, "A lock token is not a UUID.")
        tokens.append(each.bytes_le)
    if len(set(tokens)) != len(tokens):
        raise Refused(ARGUMENT_ERROR, "A lock token is given twice.")
    for token in tokens:
        queue.check(token)
    return tokens


_OPERATIONS: Mapping[str, Callable[[Queue, Mapping[object, object]], Reply]] = {
    "com.microsoft:peek-message": _peek_message,
    "com.microsoft:receive-by-sequence-number": _receive_by_sequence_number,
    "com.microsoft:renew-lock": _renew_lock,
    SETTLE: _update_disposition,
}
