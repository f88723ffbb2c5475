"""What a link and its connection know of each other, and how a transfer is refused.

What happens once per message happens in the modules of the three kinds of links, by proton's C
functions on bare pointers: `arriving`, `leaving` and `replies`.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Protocol

from proton import Condition, Delivery, symbol

from bridge.local.endpoint.engine import Pointer
from bridge.local.endpoint.outcomes import Refused

if TYPE_CHECKING:
    from proton._data import PythonAMQPData


class Starved(Protocol):
    """A link that has messages to send but finds no room."""

    def retry(self) -> None:
        """There may be room again."""
        ...


class Peer(Protocol):
    """The connection that a link belongs to, as the link sees it."""

    @property
    def writable(self) -> bool:
        """Whether the socket takes more at the moment."""
        ...

    def wake(self) -> None:
        """Write what proton has to say, soon."""
        ...

    def starve(self, link: Starved) -> None:
        """Let `link` retry once there is room in the socket."""
        ...


class LinkEnd(Protocol):
    """Our end of one link."""

    session: int

    def on_delivery(self, delivery: Pointer, message_format: int) -> None:
        """A delivery of this link has new bytes or a new state."""
        ...

    def on_credit(self) -> None:
        """The peer has changed the credit of this link."""
        ...

    def detach(self) -> None:
        """The link is gone."""
        ...


def refusal(refused: Refused) -> Condition:
    """`refused` as AMQP has it. The SDK hangs without an info map that is not empty."""
    info: dict[PythonAMQPData, PythonAMQPData] = {symbol("tracking-id"): str(uuid.uuid4())}
    return Condition(refused.condition, refused.description, info)


def reject(delivery: Pointer, refused: Refused) -> None:
    """Settle `delivery` as rejected, with everything the SDK needs to make an exception of it."""
    wrapped = Delivery(delivery)  # type: ignore[no-untyped-call]
    wrapped.local.condition = refusal(refused)
    wrapped.update(Delivery.REJECTED)
    wrapped.settle()
