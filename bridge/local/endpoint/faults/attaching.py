"""The attach of a link that a fault befalls."""

from __future__ import annotations

from collections.abc import Callable

from proton import Link

from bridge.local.endpoint.answers import accept, refuse
from bridge.local.endpoint.engine import Pointer, address
from bridge.local.endpoint.faults.timers import Timers
from bridge.local.endpoint.links import LinkEnd, PeerOfNew
from bridge.local.endpoint.outcomes import Refused


class StruckAttach:
    """An attach that waits for its answer, and until then our end of its link."""

    def __init__(self, link: Link, make: Callable[[], LinkEnd], home: PeerOfNew) -> None:
        self.session = address(link.session._impl)
        # It has none as yet: a fault that detaches what is attached must not find this.
        self.entity = None
        self.link = link._impl
        self._link = link
        self._make = make
        self._home = home
        self._timers = Timers()
        home.place(link, self)

    def perform(self) -> None:
        """An attach takes effect when it is answered."""

    def answer(self) -> None:
        accept(self._link)
        self._home.place(self._link, self._make())
        self._home.wake()

    def refuse(self, refused: Refused) -> None:
        refuse(self._link, refused)
        self._home.wake()

    def give_back(self, *, failed: bool) -> None:
        raise NotImplementedError("an attach cannot be given back")

    def cut(self, *, done: bool) -> None:
        if done:
            self.answer()
            self._home.cut_after_writing()
        else:
            self._home.cut()

    def detach_link(self, refused: Refused) -> None:
        self.answer()
        self._home.detach_link(self.link, refused)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self._timers.later(seconds, call)

    def on_delivery(self, delivery: Pointer, message_format: int) -> None:
        """What is sent before the attach is answered is lost."""

    def on_credit(self) -> None:
        """Credit is looked at once the link is attached."""

    def detach(self) -> None:
        """The link is gone."""
        self._timers.cancel()
