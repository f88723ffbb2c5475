"""The node `$management` of an entity: which request is answered by what.

Each operation names locks by their tokens, so it works the same over any connection; the
`associated-link-name` that a client may give is not needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from bridge.local.endpoint.arguments import Body
from bridge.local.endpoint.intake import Intake
from bridge.local.endpoint.locked_requests import renew_lock, update_disposition
from bridge.local.endpoint.outcomes import (
    ARGUMENT_ERROR,
    MESSAGE_LOCK_LOST,
    MESSAGE_NOT_FOUND,
    NOT_IMPLEMENTED,
    Refused,
)
from bridge.local.endpoint.queue import Queue
from bridge.local.endpoint.requests import Reply, Request
from bridge.local.endpoint.stored_requests import (
    cancel_scheduled_message,
    peek_message,
    receive_by_sequence_number,
    schedule_message,
)

_STATUS = {
    ARGUMENT_ERROR: 400,
    MESSAGE_LOCK_LOST: 410,
    MESSAGE_NOT_FOUND: 404,
    NOT_IMPLEMENTED: 501,
}

#: The operation that settles messages by their lock tokens.
SETTLE = "com.microsoft:update-disposition"

_RECEIVING: Mapping[str, Callable[[Queue, Body], Reply]] = {
    "com.microsoft:peek-message": peek_message,
    "com.microsoft:receive-by-sequence-number": receive_by_sequence_number,
    "com.microsoft:renew-lock": renew_lock,
    SETTLE: update_disposition,
}
_SENDING: Mapping[str, Callable[[Intake, Body], Reply]] = {
    "com.microsoft:cancel-scheduled-message": cancel_scheduled_message,
    "com.microsoft:schedule-message": schedule_message,
}


def answer(entity: Intake, request: Request, *, takes_sends: bool) -> Reply:
    """The reply to one request about `entity`, which clients may send to or not."""
    receiving, sending = _RECEIVING.get(request.operation), _SENDING.get(request.operation)
    operation: Callable[[Body], Reply] | None = None
    if receiving is not None and isinstance(entity, Queue):
        operation = partial(receiving, entity)
    elif sending is not None and takes_sends:
        operation = partial(sending, entity)
    try:
        if operation is None:
            raise Refused(
                NOT_IMPLEMENTED, f"The operation {request.operation!r} is not supported here."
            )
        if not isinstance(request.body, Mapping):
            raise Refused(ARGUMENT_ERROR, "The body of the request is not a map.")
        return operation(request.body)
    except Refused as refused:
        status = _STATUS.get(refused.condition, 500)
        description, _ = refused.traced()
        return Reply(status, description, refused.condition)
