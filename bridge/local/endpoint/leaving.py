"""Our end of a client's receiver: messages of a queue go out, and outcomes come back."""

from __future__ import annotations

from functools import partial

import cproton as pn

from bridge.local.endpoint.answers import reject
from bridge.local.endpoint.disposition import read_settlement
from bridge.local.endpoint.engine import Pointer
from bridge.local.endpoint.faults.acting import act
from bridge.local.endpoint.faults.leaving import StruckDelivery, StruckSettlement
from bridge.local.endpoint.faults.timers import Timers
from bridge.local.endpoint.links import Peer
from bridge.local.endpoint.outcomes import Refused
from bridge.local.endpoint.queue import Queue

# A receiver is sent no more while this many bytes of its session wait to be written.
SESSION_BACKLOG = 262_144

_OUTCOMES = frozenset((pn.PN_ACCEPTED, pn.PN_REJECTED, pn.PN_RELEASED, pn.PN_MODIFIED))


class LeavingLink:
    """A client's receiver: a consumer of `queue`, under locks or not."""

    def __init__(
        self, link: Pointer, session: Pointer, peer: Peer, queue: Queue, locks: bool
    ) -> None:
        self.session = pn.addressof(session)
        self.entity = queue.name
        self.locks = locks
        self.waiting = False
        self.link = link
        self.peer = peer
        self.timers = Timers()
        self._session = session
        self._queue = queue
        self._faults = peer.faults
        self._struck: dict[bytes, StruckSettlement] = {}
        self.attached = True

    def ready(self) -> bool:
        """Whether the client has given credit and the connection has room."""
        if pn.pn_link_credit(self.link) <= 0:
            return False
        if self.peer.writable and pn.pn_session_outgoing_bytes(self._session) < SESSION_BACKLOG:
            return True
        self.peer.starve(self)
        return False

    def deliver(self, token: bytes, data: bytes) -> None:
        """Send one message; without locks it is settled as it goes."""
        if self._faults.armed:
            fault = self._faults.strike("deliver", self.entity)
            if fault is not None:
                act(fault, StruckDelivery(self, token, data))
                return
        self.send(token, data)

    def send(self, token: bytes, data: bytes) -> None:
        """Send one message, whatever faults there are."""
        link = self.link
        delivery = pn.pn_delivery(link, token)
        pn.pn_link_send(link, data)
        pn.pn_link_advance(link)
        if not self.locks:
            pn.pn_delivery_settle(delivery)
        self.peer.wake()

    def retry(self) -> None:
        """There may be room again."""
        if pn.pn_link_credit(self.link) > 0:
            self._queue.hungry(self)
            self._queue.dispatch()

    def on_credit(self) -> None:
        """Use the credit, and give back what is left of it if the client drains the link."""
        self.retry()
        if pn.pn_link_get_drain(self.link):
            pn.pn_link_drained(self.link)

    def on_delivery(self, delivery: Pointer, message_format: int) -> None:
        """Apply the outcome the client has chosen, and answer with the same outcome.

        A delivery that the client settles without an outcome stays locked until its lock ends.
        """
        if not pn.pn_delivery_updated(delivery):
            return
        state = pn.pn_delivery_remote_state(delivery)
        settled = pn.pn_delivery_settled(delivery)
        if state in _OUTCOMES:
            token = pn.bytes2pybytes(pn.lib.pn_delivery_tag(delivery))
            if self._is_struck(delivery, token, state, settled):
                return
            try:
                self._apply(state, token, delivery)
            except Refused as refused:
                reject(delivery, refused)
                return
            pn.pn_delivery_update(delivery, state)
            pn.pn_delivery_settle(delivery)
        elif settled:
            pn.pn_delivery_settle(delivery)

    def _is_struck(self, delivery: Pointer, token: bytes, state: int, settled: bool) -> bool:
        """Whether a fault befalls this settlement, or has done so before."""
        struck = self._struck.get(token)
        if struck is None:
            if not self._faults.armed:
                return False
            fault = self._faults.strike("settle", self.entity)
            if fault is None:
                return False
            carry_out = partial(self._apply, state, token, delivery)
            struck = self._struck[token] = StruckSettlement(self, delivery, state, carry_out)
            act(fault, struck)
        if settled and self.attached:
            struck.forget()
            del self._struck[token]
        return True

    def _apply(self, state: int, token: bytes, delivery: Pointer) -> None:
        self._queue.settle(token, read_settlement(state, delivery))

    def detach(self) -> None:
        """Deliver no more; what the client holds stays locked until its locks end."""
        self.attached = False
        self.timers.cancel()
        self._struck.clear()
        self._queue.leave(self)
