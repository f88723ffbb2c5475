"""The refusals this endpoint can give, each with the AMQP condition the service uses for it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypeAlias
from uuid import uuid4

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
    `info` the map: TRACKED for a new tracking id. `entity` is the name of what was asked for, if
    it is known. Only a scripted fault has an empty description or None as its map, which leave
    them out.
    """

    def __init__(
        self,
        condition: str,
        description: str,
        info: Info | None = TRACKED,
        *,
        entity: str | None = None,
    ) -> None:
        super().__init__(f"{condition}: {description}")
        self.condition = condition
        self.description = description
        self.info = info
        self.entity = entity

    def traced(self) -> tuple[str, Info | None]:
        """The description and the info map as they are sent.

        Under TRACKED the description ends as the service's do: with an id for its support, the
        part of it that refused, and the time in UTC.
        """
        if self.info is not TRACKED:
            return self.description, self.info
        tracking = str(uuid4())
        told = self.description and (
            f"{self.description} TrackingId:{tracking},"
            f" SystemTracker:{self.entity or 'NoSystemTracker'},"
            f" Timestamp:{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}"
        )
        return told, {"tracking-id": tracking}


def not_found(path: str, hint: str = "") -> Refused:
    """What the service says of an address that names nothing; the hint is ours."""
    return Refused(
        NOT_FOUND,
        f"The messaging entity '{path}' could not be found.{hint}"
        " To know more visit https://aka.ms/sbResourceMgrExceptions. ",
        entity=path or None,
    )


def full(name: str = "", size: int = 0, limit: int = 0) -> Refused:
    """What the service says when an entity holds as many bytes as it may.

    Its text: azure-service-bus#683. Without a name, what a scripted fault says.
    """
    sizes = f" for '{name}'. Size of entity in bytes:{size}, Max entity size in bytes: {limit}"
    return Refused(
        RESOURCE_LIMIT_EXCEEDED,
        f"The maximum entity size has been reached or exceeded{sizes if name else ''}."
        " For more information please see https://aka.ms/ServiceBusExceptions ."
        "  QuotaType: EntitySize",
        entity=name or None,
    )


def lock_lost() -> Refused:
    """What the service says when a lock has expired or its message has been settled already."""
    return Refused(
        MESSAGE_LOCK_LOST,
        "The lock supplied is invalid. Either the lock expired, "
        "or the message has already been removed from the queue.",
    )
