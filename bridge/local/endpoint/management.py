"""The node `$management` of a queue: renewing a lock, and settling by lock token.

Each operation names locks by their tokens, so it works the same over any connection; the
`associated-link-name` that a client may give is not needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from uuid import UUID

from proton import UNDESCRIBED, Array, Data, timestamp

from bridge.local.endpoint.outcomes import (
    ARGUMENT_ERROR,
    MESSAGE_LOCK_LOST,
    NOT_IMPLEMENTED,
    Refused,
)
from bridge.local.endpoint.queue import Queue
from bridge.local.endpoint.requests import Reply, Request

_STATUS = {ARGUMENT_ERROR: 400, MESSAGE_LOCK_LOST: 410, NOT_IMPLEMENTED: 501}


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
        elif status == "suspended":
            queue.dead_letter(
                token,
                reason if isinstance(reason, str) else None,
                description if isinstance(description, str) else None,
            )
        else:
            raise Refused(NOT_IMPLEMENTED, f"The status {status!r} is not supported here.")
    return Reply(200, "OK")


def _tokens(queue: Queue, body: Mapping[object, object]) -> list[bytes]:
    """The tokens of a request, as delivery tags, if the locks under all of them are held.

    A token is a GUID: in a delivery tag its first three parts are little-endian.
    """
    given = body.get("lock-tokens")
    elements = given.elements if isinstance(given, Array) else given
    if not isinstance(elements, list | tuple) or not elements:
        raise Refused(ARGUMENT_ERROR, "The request has no array of lock tokens.")
    tokens = []
    for each in elements:
        if not isinstance(each, UUID):
            raise Refused(ARGUMENT_ERROR, "A lock token is not a UUID.")
        tokens.append(each.bytes_le)
    if len(set(tokens)) != len(tokens):
        raise Refused(ARGUMENT_ERROR, "A lock token is given twice.")
    for token in tokens:
        queue.check(token)
    return tokens


_OPERATIONS: Mapping[str, Callable[[Queue, Mapping[object, object]], Reply]] = {
    "com.microsoft:renew-lock": _renew_lock,
    SETTLE: _update_disposition,
}
