"""Our end of a client's sender: a transfer is collected, given away, and answered."""

from __future__ import annotations

import cproton as pn

from bridge.local.endpoint.answers import reject, settle
from bridge.local.endpoint.engine import Pointer
from bridge.local.endpoint.faults.acting import act
from bridge.local.endpoint.faults.arriving import StruckTransfer
from bridge.local.endpoint.faults.timers import Timers
from bridge.local.endpoint.links import Peer, Sink
from bridge.local.endpoint.outcomes import Refused

# What the service grants a sender; the SDK sends whether it has credit or not.
SENDER_CREDIT = 1_000


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
            fault = self._faults.strike("send", self.entity, data=data)
            if fault is not None:
                act(fault, StruckTransfer(self, delivery, data, message_format))
                return
        try:
            self.sink.accept(data, message_format)
        except Refused as refused:
            reject(delivery, refused)
        else:
            settle(delivery, pn.PN_ACCEPTED)

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
