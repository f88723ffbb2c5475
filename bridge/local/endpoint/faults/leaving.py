"""A delivery that a fault befalls as it goes out, and a settlement as it comes back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import cproton as pn

from bridge.local.endpoint.answers import reject
from bridge.local.endpoint.engine import Pointer
from bridge.local.endpoint.faults.timers import Timers
from bridge.local.endpoint.links import Peer
from bridge.local.endpoint.outcomes import Refused


class Outlet(Protocol):
    """The link that a message leaves by, as its deliveries and settlements see it."""

    link: Pointer
    peer: Peer
    timers: Timers

    def send(self, token: bytes, data: bytes) -> None:
        """Send one message, whatever faults there are."""
        ...


class StruckDelivery:
    """A message that the queue has locked, or let go of, but that has not been written yet."""

    def __init__(self, end: Outlet, token: bytes, data: bytes) -> None:
        self._end = end
        self._token = token
        self._data = data

    def perform(self) -> None:
        """The queue has done its part."""

    def answer(self) -> None:
        self._end.send(self._token, self._data)

    def refuse(self, refused: Refused) -> None:
        raise NotImplementedError("a delivery cannot be refused")

    def give_back(self, *, failed: bool) -> None:
        raise NotImplementedError("a delivery cannot be given back")

    def cut(self, *, done: bool) -> None:
        if done:
            self.answer()
            self._end.peer.cut_after_writing()
        else:
            self._end.peer.cut()

    def detach_link(self, refused: Refused) -> None:
        self._end.peer.detach_link(self._end.link, refused)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self._end.timers.later(seconds, call)


class StruckSettlement:
    """An outcome that a client has chosen; `state` is answered when `carry_out` has applied it."""

    def __init__(
        self, end: Outlet, delivery: Pointer, state: int, carry_out: Callable[[], None]
    ) -> None:
        self._end = end
        self._delivery = delivery
        self._state = state
        self._carry_out = carry_out
        self._over = False

    def forget(self) -> None:
        """The client waits for no answer: it has none to come."""
        if not self._over:
            self._over = True
            pn.pn_delivery_settle(self._delivery)

    def perform(self) -> None:
        self._carry_out()

    def answer(self) -> None:
        if not self._over:
            self._over = True
            pn.pn_delivery_update(self._delivery, self._state)
            pn.pn_delivery_settle(self._delivery)
            self._end.peer.wake()

    def refuse(self, refused: Refused) -> None:
        if not self._over:
            self._over = True
            reject(self._delivery, refused)
            self._end.peer.wake()

    def give_back(self, *, failed: bool) -> None:
        raise NotImplementedError("a settlement cannot be given back")

    def cut(self, *, done: bool) -> None:
        self._end.peer.cut()

    def detach_link(self, refused: Refused) -> None:
        self._end.peer.detach_link(self._end.link, refused)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self._end.timers.later(seconds, call)
