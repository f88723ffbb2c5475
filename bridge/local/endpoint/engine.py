"""proton's protocol engine for one connection, without any I/O: bytes in, events and bytes out.

The events that come once per message (a delivery, new credit) are read through proton's C functions
and handed over as bare pointers; wrapping them would cost more than everything else. All others
come as proton's own event objects. Besides this module only the ends of links and what answers them
call the C functions.
"""

from __future__ import annotations

from typing import Protocol, TypeAlias

import cproton as pn
from proton import Collector, Connection, Event, Transport

from bridge.local.endpoint.frames import FrameSplitter

Pointer: TypeAlias = object
"""A link or a delivery of proton's; valid while it is attached, or not settled."""

# The frame size and the idle timeout that Azure Service Bus announces.
MAX_FRAME_SIZE = 65_536
IDLE_TIMEOUT = 240.0


def address(pointer: Pointer) -> int:
    """The number that tells `pointer` from every other one that is valid now."""
    return int(pn.addressof(pointer))


class Handler(Protocol):
    """What an engine tells of."""

    def on_delivery(self, link: int, delivery: Pointer, message_format: int) -> None:
        """A delivery of the link (its address) has new bytes or a new state."""
        ...

    def on_credit(self, link: int) -> None:
        """The peer has changed the credit of the link."""
        ...

    def on_event(self, event: Event) -> None:
        """Anything else."""
        ...


class Engine:
    """One connection's engine.

    `idle_timeout` is what the peer is told, in seconds; it is given up after twice that time, as
    AMQP 1.0 (part 2, 2.4.5) recommends and proton does it.
    """

    def __init__(self, handler: Handler, idle_timeout: float = IDLE_TIMEOUT) -> None:
        self._handler = handler
        self._frames = FrameSplitter(MAX_FRAME_SIZE)
        self._collector = Collector()
        self._connection = Connection()
        self._connection.collect(self._collector)
        self._transport = Transport(Transport.SERVER)
        self._transport.max_frame_size = MAX_FRAME_SIZE
        self._transport.idle_timeout = 2 * idle_timeout
        self._transport.sasl().allowed_mechs("ANONYMOUS")
        self._transport.bind(self._connection)
        self._format = 0

    def receive(self, data: bytes) -> None:
        """Take bytes of the peer, and tell the handler what they mean and what else happened."""
        self.pump()
        for piece, message_format in self._frames.feed(data):
            self._format = message_format or 0
            self._push(piece)
            self.pump()

    def _push(self, piece: bytes) -> None:
        transport = self._transport._impl
        rest = memoryview(piece)
        while rest:
            room = pn.pn_transport_capacity(transport)
            taken = pn.pn_transport_push(transport, rest[:room]) if room > 0 else room
            if taken <= 0:
                return
            rest = rest[taken:]

    def pump(self) -> None:
        """Tell the handler of what has happened."""
        collector = self._collector._impl
        while event := pn.pn_collector_peek(collector):
            try:
                self._tell(event)
            finally:
                pn.pn_collector_pop(collector)

    def _tell(self, event: Pointer) -> None:
        kind = pn.pn_event_type(event)
        if kind == pn.PN_DELIVERY:
            delivery = pn.pn_event_delivery(event)
            link = pn.addressof(pn.pn_delivery_link(delivery))
            self._handler.on_delivery(link, delivery, self._format)
        elif kind == pn.PN_LINK_FLOW:
            self._handler.on_credit(pn.addressof(pn.pn_event_link(event)))
        elif kind != pn.PN_TRANSPORT:
            self._handler.on_event(Event.wrap(event))  # type: ignore[no-untyped-call]

    def output(self) -> bytearray | bytes | None:
        """The next bytes for the peer; they count as sent.

        Empty if there are none now, None if there will be none any more.
        """
        transport = self._transport._impl
        size = pn.pn_transport_pending(transport)
        # proton may close its input without a word, over a frame it cannot read.
        if size == 0 and pn.pn_transport_capacity(transport) >= 0:
            return b""
        if size <= 0:
            return None
        taken, data = pn.pn_transport_peek(transport, size)
        if taken < 0:
            return None
        pn.pn_transport_pop(transport, taken)
        return data  # type: ignore[no-any-return]

    def close(self) -> None:
        """Let go of everything; the engine must not be used after."""
        self._transport.close_tail()
        self._transport.close_head()
        self._transport.unbind()
        self._connection.free()

    def tick(self, now: float) -> float:
        """Let time pass: keep-alives are made, a silent peer is given up.

        Returns the time, on the same clock, by which to call again; 0 if there is no need. What it
        means is told by the next `pump`.
        """
        deadline: float = self._transport.tick(now)
        return deadline
