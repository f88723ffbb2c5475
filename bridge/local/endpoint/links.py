"""What a link and its connection know of each other, and how a transfer is refused.

What happens once per message happens in the modules of the three kinds of links, by proton's C
functions on bare pointers: `arriving`, `leaving` and `replies`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from proton import Condition, Delivery, Link, Terminus, symbol

from bridge.local.endpoint.engine import Pointer
from bridge.local.endpoint.faults.book import FaultBook
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

    @property
    def faults(self) -> FaultBook:
        """The faults that may befall what its links do."""
        ...

    def cut(self) -> None:
        """Close the socket without a word, what waits to be written included."""
        ...

    def cut_after_writing(self) -> None:
        """Close the socket without a word once what waits is written."""
        ...

    def detach_link(self, link: Pointer, refused: Refused) -> None:
        """Detach a link with an error, from our side; its end is told too."""
        ...


class PeerOfNew(Peer, Protocol):
    """The connection of a link that has not been answered yet."""

    def place(self, link: Link, end: LinkEnd) -> None:
        """Let `end` be our end of `link` from now on."""
        ...


class LinkEnd(Protocol):
    """Our end of one link."""

    session: int
    link: Pointer

    @property
    def entity(self) -> str | None:
        """The name of what messages are sent to or come from; None if it carries requests."""
        ...

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
    description, given = refused.traced()
    info: dict[PythonAMQPData, PythonAMQPData] | None = None
    if given is not None:
        info = {symbol(name): value for name, value in given.items()}
    return Condition(refused.condition, description or None, info)


def accept(link: Link) -> None:
    """Answer that `link` is attached."""
    link.source.copy(link.remote_source)
    link.target.copy(link.remote_target)
    link.open()


def refuse(link: Link, refused: Refused) -> None:
    """Answer that `link` is not attached.

    This is an attach without the terminus on our side, followed by a detach with the error: AMQP
    1.0, part 2, 2.6.3. Without that, the SDK would take a sender for attached.
    """
    ours = link.target if link.is_receiver else link.source
    ours.type = Terminus.UNSPECIFIED
    link.open()
    link.condition = refusal(refused)
    link.close()


def detach_now(link: Pointer, refused: Refused) -> None:
    """Detach a link that is attached, with an error."""
    wrapped = Link.wrap(link)  # type: ignore[no-untyped-call]
    wrapped.condition = refusal(refused)
    wrapped.close()


def reject(delivery: Pointer, refused: Refused) -> None:
    """Settle `delivery` as rejected, with everything the SDK needs to make an exception of it."""
    wrapped = Delivery(delivery)  # type: ignore[no-untyped-call]
    wrapped.local.condition = refusal(refused)
    wrapped.update(Delivery.REJECTED)
    wrapped.settle()
