"""Requests over AMQP messages: decoding one, and encoding the reply that belongs to it.

The reply carries the request's message id as its correlation id, of the same AMQP type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

from proton import Message, int32, symbol, ulong

from bridge.local.endpoint.outcomes import DECODE_ERROR, Refused

if TYPE_CHECKING:
    from proton._data import PythonAMQPData

Properties: TypeAlias = Mapping[str, object]
Number: TypeAlias = "str | bytes | UUID | ulong | None"


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks: its application properties and the value of its body.

    `number` is the id of the message, `reply_to` where the reply goes.
    """

    properties: Properties
    body: object
    number: Number
    reply_to: str | None

    @property
    def operation(self) -> str:
        """The name of the operation, empty if there is none."""
        return str(self.properties.get("operation", ""))


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP-like status with a sentence, the symbol of an error, and a body."""

    status: int
    description: str
    condition: str | None = None
    body: dict[PythonAMQPData, PythonAMQPData] | None = None


def read_request(data: bytes) -> Request:
    """Decode a request. Raises Refused."""
    message = Message()
    try:
        message.decode(data)
        given: Properties = message.properties or {}
        properties = {str(key): value for key, value in given.items()}
        return Request(properties, message.body, message.id, message.reply_to)
    except Exception as error:  # proton raises its own errors and those of Python's codecs
        raise Refused(DECODE_ERROR, f"The request cannot be read: {error}.") from error


def write_reply(request: Request, reply: Reply, *, dashes: bool) -> bytes:
    """Encode `reply`; `$cbs` writes its names with dashes, `$management` in camel case."""
    code, text = (
        ("status-code", "status-description") if dashes else ("statusCode", "statusDescription")
    )
    properties: dict[str, object] = {code: int32(reply.status), text: reply.description}
    if reply.condition is not None:
        properties["error-condition" if dashes else "errorCondition"] = symbol(reply.condition)
    message = Message(
        correlation_id=request.number,
        properties=properties,
        body=reply.body,
    )
    return bytes(message.encode())
