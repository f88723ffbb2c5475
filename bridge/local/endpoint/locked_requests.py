"""Requests about locked messages: renewing their locks, and settling them by their lock tokens."""

from __future__ import annotations

from uuid import UUID

from proton import UNDESCRIBED, Array, Data, timestamp

from bridge.local.endpoint.arguments import Body, elements
from bridge.local.endpoint.outcomes import ARGUMENT_ERROR, NOT_IMPLEMENTED, Refused
from bridge.local.endpoint.queue import Queue
from bridge.local.endpoint.requests import Reply
from bridge.local.endpoint.settlement import DESCRIPTION, REASON, Decision, settlement

# The service's words, with its spelling.
_DECISIONS = {
    "completed": Decision.COMPLETE,
    "abandoned": Decision.ABANDON,
    "defered": Decision.DEFER,
    "suspended": Decision.DEAD_LETTER,
}


def renew_lock(queue: Queue, body: Body) -> Reply:
    """Start the locks again, all of them or none."""
    tokens = _tokens(queue, body)
    ends = [timestamp(queue.renew(token)) for token in tokens]
    expirations = Array(UNDESCRIBED, Data.TIMESTAMP, *ends)  # type: ignore[arg-type]
    return Reply(200, "OK", body={"expirations": expirations})


def update_disposition(queue: Queue, body: Body) -> Reply:
    """Settle messages, all of them or none."""
    status = body.get("disposition-status")
    decision = _DECISIONS.get(status) if isinstance(status, str) else None
    if decision is None:
        raise Refused(NOT_IMPLEMENTED, f"The status {status!r} is not supported here.")
    given = body.get("properties-to-modify")
    properties = dict(given) if isinstance(given, dict) else {}
    if decision is Decision.DEAD_LETTER:
        why = {REASON: body.get("deadletter-reason")}
        why |= {DESCRIPTION: body.get("deadletter-description")}
        properties |= {name: text for name, text in why.items() if text is not None}
    decided = settlement(decision, properties)
    for token in _tokens(queue, body):
        queue.settle(token, decided)
    return Reply(200, "OK")


def _tokens(queue: Queue, body: Body) -> list[bytes]:
    """The tokens of a request, as delivery tags, if the locks under all of them are held.

    A token is a GUID: in a delivery tag its first three parts are little-endian.
    """
    tokens = []
    for each in elements(body, "lock-tokens"):
        if not isinstance(each, UUID):
            raise Refused(ARGUMENT_ERROR, "A lock token is not a UUID.")
        tokens.append(each.bytes_le)
    if len(set(tokens)) != len(tokens):
        raise Refused(ARGUMENT_ERROR, "A lock token is given twice.")
    for token in tokens:
        queue.check(token)
    return tokens
