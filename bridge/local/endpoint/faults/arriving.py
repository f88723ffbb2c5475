"""A transfer that a fault befalls as it comes in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import cproton as pn

from bridge.local.endpoint.answers import reject, settle
from bridge.local.endpoint.engine import Pointer
from bridge.local.endpoint.faults.timers import Timers
from bridge.local.endpoint.links import Peer, Sink
from bridge.local.endpoint.outcomes import Refused


class Inlet(Protocol):
    """The link that a transfer comes by."""

    link: Pointer
    peer: Peer
    sink: Sink
    timers: Timers


class StruckTransfer:
    """A transfer that is whole: it may be stored or not, and answered or not."""

    def __init__(self, end: Inlet, delivery: Pointer, data: bytes, message_format: int) -> None:
        self._end = end
        self._delivery = delivery
        self._data = data
        self._format = message_format

    def perform(self) -> None:
        self._end.sink.accept(self._data, self._format)

    def answer(self) -> None:
        settle(self._delivery, pn.PN_ACCEPTED)
        self._end.peer.wake()

    def refuse(self, refused: Refused) -> None:
        reject(self._delivery, refused)
        self._end.peer.wake()

    def give_back(self, *, failed: bool) -> None:
        if failed:
            pn.pn_disposition_set_failed(pn.pn_delivery_local(self._delivery), True)
        settle(self._delivery, pn.PN_MODIFIED if failed else pn.PN_RELEASED)

    def cut(self, *, done: bool) -> None:
        self._end.peer.cut()

    def detach_link(self, refused: Refused) -> None:
        self._end.peer.detach_link(self._end.link, refused)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self._end.timers.later(seconds, call)
