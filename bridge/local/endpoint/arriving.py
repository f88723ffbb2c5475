"""Our end of a client's sender: a transfer is collected, given away, and answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import cproton as pn

from bridge.local.endpoint.engine import Pointer
from bridge.local.endpoint.faults.acting import act
from bridge.local.endpoint.faults.timers import Timers
from bridge.local.endpoint.links import Peer, reject
from bridge.local.endpoint.outcomes import Refused

# What the service grants a sender; the SDK sends whether it has credit or not.
SENDER_CREDIT = 1_000


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


class ArrivingLink:
    """A client's sender: each of its transfers is given to `sink`, and answered at once.

    entity: the name of what the messages are for; None if they are requests.
    """

    def __init__(
        self, link: Pointer, session: int, sink: Sink, peer: Peer, entity: str | None
    ) -> None:
        self.session = session
        self.entity = entity
        self.sink = sink
        self.link = link
        self.peer = peer
        self.timers = Timers()
        self._faults = peer.faults
        self._largest = sink.largest
        self._format: int | None = None
        self._discarded = 0
        self._used = 0
        pn.pn_link_flow(link, SENDER_CREDIT)

    def on_delivery(self, delivery: Pointer, message_format: int) -> None:
        """Collect a transfer, and answer it once it is whole."""
        link = self.link
        if pn.pn_link_current(link) != delivery:
            return
        if self._format is None:
            self._format = message_format
        waiting = pn.pn_delivery_pending(delivery)
        aborted = pn.pn_delivery_aborted(delivery)
        if pn.pn_delivery_partial(delivery) and not aborted:
            if self._discarded + waiting > self._largest:
                self._discarded += len(self._receive(waiting))
            return
        data = self._receive(waiting)
        size, message_format = self._discarded + len(data), self._format
        self._format, self._discarded = None, 0
        pn.pn_link_advance(link)
        self._grant()
        if aborted:
            pn.pn_delivery_settle(delivery)
        elif size > len(data):
            reject(delivery, self.sink.refuse_large(size))
        else:
            self._answer(delivery, data, message_format)

    def _answer(self, delivery: Pointer, data: bytes, message_format: int) -> None:
        if self._faults.armed and self.entity is not None:
            fault = self._faults.strike("send", self.entity)
            if fault is not None:
                act(fault, _Transfer(self, delivery, data, message_format))
                return
        try:
            self.sink.accept(data, message_format)
        except Refused as refused:
            reject(delivery, refused)
        else:
            _settle(delivery, pn.PN_ACCEPTED)

    def _receive(self, size: int) -> bytes:
        if size == 0:
            return b""
        taken, data = pn.pn_link_recv(self.link, size)
        return bytes(data) if taken > 0 else b""

    def _grant(self) -> None:
        self._used += 1
        if self._used * 2 >= SENDER_CREDIT:
            pn.pn_link_flow(self.link, self._used)
            self._used = 0

    def on_credit(self) -> None:
        """The sender gave notice of its state; there is nothing to do."""

    def detach(self) -> None:
        """Nothing is kept for a sender, and nothing answered any more."""
        self.timers.cancel()


def _settle(delivery: Pointer, state: int) -> None:
    pn.pn_delivery_update(delivery, state)
    pn.pn_delivery_settle(delivery)


class _Transfer:
    """A transfer that a fault befalls: it may be stored or not, and answered or not."""

    def __init__(
        self, end: ArrivingLink, delivery: Pointer, data: bytes, message_format: int
    ) -> None:
        self._end = end
        self._delivery = delivery
        self._data = data
        self._format = message_format

    def perform(self) -> None:
        self._end.sink.accept(self._data, self._format)

    def answer(self) -> None:
        _settle(self._delivery, pn.PN_ACCEPTED)
        self._end.peer.wake()

    def refuse(self, refused: Refused) -> None:
        reject(self._delivery, refused)
        self._end.peer.wake()

    def give_back(self, *, failed: bool) -> None:
        if failed:
            pn.pn_disposition_set_failed(pn.pn_delivery_local(self._delivery), True)
        _settle(self._delivery, pn.PN_MODIFIED if failed else pn.PN_RELEASED)

    def cut(self, *, done: bool) -> None:
        self._end.peer.cut()

    def detach_link(self, refused: Refused) -> None:
        self._end.peer.detach_link(self._end.link, refused)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self._end.timers.later(seconds, call)
