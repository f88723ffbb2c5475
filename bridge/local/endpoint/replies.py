"""Our end of a client's receiver on a request-response node, such as `$cbs`."""

from __future__ import annotations

from collections import deque

import cproton as pn

from bridge.local.endpoint.engine import Pointer
from bridge.local.endpoint.faults.timers import Timers


class ReplyLink:
    """A client's receiver on a request-response node; `target` is where it wants its replies."""

    def __init__(self, link: Pointer, session: int, source: str, target: str | None) -> None:
        self.session = session
        self.entity = None
        self.source = source
        self.target = target
        self.link = link
        self.timers = Timers()
        self._waiting: deque[bytes] = deque()
        self._sent = 0

    def send(self, reply: bytes) -> None:
        """Send `reply` when the client has given credit for it."""
        self._waiting.append(reply)
        self.on_credit()

    def on_credit(self) -> None:
        """Send what waits, as far as the credit goes."""
        link = self.link
        while self._waiting and pn.pn_link_credit(link) > 0:
            self._sent += 1
            delivery = pn.pn_delivery(link, self._sent.to_bytes(4, "big"))
            pn.pn_link_send(link, self._waiting.popleft())
            pn.pn_link_advance(link)
            pn.pn_delivery_settle(delivery)
        if pn.pn_link_get_drain(link):
            pn.pn_link_drained(link)

    def on_delivery(self, delivery: Pointer, message_format: int) -> None:
        """Replies are sent settled; nobody has to confirm them."""

    def detach(self) -> None:
        """Replies that were not asked for in time are dropped."""
        self._waiting.clear()
        self.timers.cancel()
