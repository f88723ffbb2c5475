"""What a link and its connection know of each other."""

from __future__ import annotations

from typing import Protocol

from proton import Link

from bridge.local.endpoint.engine import Pointer
from bridge.local.endpoint.faults.book import FaultBook
from bridge.local.endpoint.outcomes import Refused


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


class Sink(Protocol):
    """What takes the transfers of a client's sender."""

    @property
    def largest(self) -> int:
        """Bytes beyond which a transfer need not be kept, for it will be refused."""
        ...

    def accept(self, data: bytes, message_format: int) -> None:
        """Take one transfer. Raises Refused."""
        ...

    def refuse_large(self, size: int) -> Refused:
        """Why a transfer of `size` bytes is not taken."""
        ...
