"""The refusals this endpoint can give, each with the AMQP condition the service uses for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

DECODE_ERROR = "amqp:decode-error"
INTERNAL_ERROR = "amqp:internal-error"
NOT_ALLOWED = "amqp:not-allowed"
NOT_FOUND = "amqp:not-found"
NOT_IMPLEMENTED = "amqp:not-implemented"
MESSAGE_SIZE_EXCEEDED = "amqp:link:message-size-exceeded"
ARGUMENT_ERROR = "com.microsoft:argument-error"
MESSAGE_NOT_FOUND = "com.microsoft:message-not-found"
MESSAGE_LOCK_LOST = "com.microsoft:message-lock-lost"
SERVER_BUSY = "com.microsoft:server-busy"
ENTITY_DISABLED = "com.microsoft:entity-disabled"
UNAUTHORIZED = "amqp:unauthorized-access"
RESOURCE_LIMIT_EXCEEDED = "amqp:resource-limit-exceeded"
LINK_DETACH_FORCED = "amqp:link:detach-forced"

Info: TypeAlias = Mapping[str, str | int | float | bool]
#: Stands for the info map the service sends, with an id to trace the request by.
TRACKED: Info = {"tracking-id": ""}


class Refused(Exception):
    """A request that is answered with an error; nothing of it has been applied.

    `condition` is the symbol sent to the peer, `description` the sentence that goes with it,
    `info` the map: TRACKED for a new tracking id. Only a scripted fault has an empty
    description or None as its map, which leave them out.
    """

    def __init__(self, condition: str, description: str, info: Info | None = TRACKED) -> None:
        super().__init__(f"{condition}: {description}")
        self.condition = condition
        self.description = description
        self.info = info


def lock_lost() -> Refused:
    """What the service says when a lock has expired or its message has been settled already."""
    return Refused(
        MESSAGE_LOCK_LOST,
        "The lock supplied is invalid. Either the lock expired, "
        "or the message has already been removed from the queue.",
    )
