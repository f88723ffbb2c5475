"""The AMQP error that a fault answers with: what it says, or what the service would say."""

from __future__ import annotations

from uuid import uuid4

from bridge.local.endpoint.faults.fault import Action, Fault, Operation
from bridge.local.endpoint.outcomes import (
    ENTITY_DISABLED,
    LINK_DETACH_FORCED,
    SERVER_BUSY,
    TRACKED,
    UNAUTHORIZED,
    Refused,
    full,
    lock_lost,
)

_BUSY = (
    SERVER_BUSY,
    "The request was terminated because the entity is being throttled. Error code: 50009."
    " Please wait 2 seconds and try again.",
)
_DEFAULTS: dict[Action, tuple[str, str]] = {
    "reject": _BUSY,
    "throttle": _BUSY,
    "refuse": (UNAUTHORIZED, "InvalidSignature: The token has an invalid signature."),
    "detach": (
        LINK_DETACH_FORCED,
        "The link is force detached. Code: publisher(link). Details: AmqpMessagePublisher."
        "IdleTimerExpired: Idle timeout: 00:10:00.",
    ),
    "disable": (
        ENTITY_DISABLED,
        "Messaging entity is currently disabled, it must be enabled before it can be used.",
    ),
    "fill": (full().condition, full().description),
}
_LOST = lock_lost()
_SPECIAL: dict[tuple[Action, Operation], tuple[str, str]] = {
    ("reject", "settle"): (_LOST.condition, _LOST.description),
    ("refuse", "attach"): (
        UNAUTHORIZED,
        "Unauthorized access. 'Send' or 'Listen' claim(s) are required to perform this operation.",
    ),
}


def refusal_of(fault: Fault) -> Refused:
    """The error of `fault`, as an exception that no one need raise."""
    condition, description = _SPECIAL.get((fault.do, fault.on)) or _DEFAULTS[fault.do]
    given = fault.model_fields_set
    if fault.condition not in (None, condition):
        description = f"The scripted fault {fault.name!r} of the local endpoint."
    if "description" not in given:
        info = fault.info if "info" in given else TRACKED
        return Refused(fault.condition or condition, description, info)
    # What somebody has written is sent as it is, without a trace.
    info = fault.info if "info" in given else {"tracking-id": str(uuid4())}
    return Refused(fault.condition or condition, fault.description or "", info)
