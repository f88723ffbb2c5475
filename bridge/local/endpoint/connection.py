"""One client's connection: a socket of asyncio on one side, a protocol engine on the other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import cast

from proton import Event, Link

from bridge.local.endpoint.attach import attach
from bridge.local.endpoint.engine import Engine, Pointer, address
from bridge.local.endpoint.faults import FaultBook
from bridge.local.endpoint.faults.acting import act
from bridge.local.endpoint.faults.connecting import Hearing, StruckConnection
from bridge.local.endpoint.leaving import LeavingLink
from bridge.local.endpoint.links import LinkEnd, Starved, detach_now
from bridge.local.endpoint.namespace import Namespace
from bridge.local.endpoint.outcomes import Refused
from bridge.local.endpoint.replies import ReplyLink

log = logging.getLogger(__name__)

# Bytes that may wait in a socket's buffer before no more messages are put there.
_WRITE_BUFFER = 1_048_576
# The engine is asked what time it is at least this often, in seconds.
_LONGEST_TICK = 30.0
# Seconds in which a client must read the end of what it is told before its socket is cut.
_LINGER = 5.0


class ClientConnection(asyncio.Protocol):
    """Speaks AMQP with one client. `closed` is called once, when the socket is gone."""

    def __init__(
        self,
        namespace: Namespace,
        faults: FaultBook,
        container: str,
        idle_timeout: float,
        closed: Callable[[ClientConnection], None],
    ) -> None:
        self.faults = faults
        self._namespace = namespace
        self._container = container
        self._closed = closed
        self._loop = asyncio.get_running_loop()
        self._engine = Engine(self, idle_timeout)
        self._links: dict[int, LinkEnd] = {}
        self._starved: set[Starved] = set()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._paused = False
        self._awake = False
        self._alive = False
        self._finished = False
        self._hearing = Hearing(self._receive)

    # The socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_WRITE_BUFFER)
        self._alive = True
        if self.faults.armed and (fault := self.faults.strike("connect", None)) is not None:
            act(fault, StruckConnection(self._hearing, self.cut))

    def data_received(self, data: bytes) -> None:
        """The client has sent something."""
        self._hearing.receive(data)

    def eof_received(self) -> None:
        """The client sends no more; the socket is closed for both."""

    def connection_lost(self, error: Exception | None) -> None:
        """The socket is gone; so are the links, but not what their locks hold."""
        self._alive = False
        self._hearing.stop()
        if self._timer is not None:
            self._timer.cancel()
        self._drop_links(lambda end: True)
        self._engine.close()
        self._closed(self)

    def pause_writing(self) -> None:
        """The client does not read as fast as we write."""
        self._paused = True

    def resume_writing(self) -> None:
        """There is room in the socket again."""
        self._paused = False
        self.wake()

    def cut(self) -> None:
        """Close the socket without a word, what waits to be written included."""
        self._alive = False
        self._hearing.stop()
        self._drop_links(lambda end: True)
        if self._transport is not None:
            self._transport.abort()

    def cut_after_writing(self) -> None:
        """Close the socket without a word once what waits is written."""
        if self._alive and self._transport is not None:
            self._write()
            self._alive = False
            self._finish(self._transport)

    # What links ask of their connection

    @property
    def writable(self) -> bool:
        """Whether the socket takes more at the moment."""
        return self._alive and not self._paused

    def wake(self) -> None:
        """Write what the engine has to say, once the present callback is done."""
        if not self._awake:
            self._awake = True
            self._loop.call_soon(self._woken)

    def starve(self, link: Starved) -> None:
        """Let `link` try again after the next write."""
        self._starved.add(link)

    def place(self, link: Link, end: LinkEnd) -> None:
        """Let `end` be our end of `link` from now on."""
        self._links[address(link._impl)] = end

    def detach_link(self, link: Pointer, refused: Refused) -> None:
        """Detach a link with an error, from our side; its end is told too."""
        end = self._links.pop(address(link), None)
        if end is not None:
            self._detach(end)
            detach_now(link, refused)
            self.wake()

    def detach_links(self, wanted: Callable[[LinkEnd], bool], refused: Refused) -> int:
        """Detach the links whose ends are `wanted`; returns how many they were."""
        ends = [end for end in self._links.values() if wanted(end)]
        for end in ends:
            self.detach_link(end.link, refused)
        return len(ends)

    def reply_link(self, session: int, source: str, target: str | None) -> ReplyLink | None:
        """The link for replies of `source`: the one that asked for `target`, or any."""
        found: ReplyLink | None = None
        for end in self._links.values():
            if not isinstance(end, ReplyLink) or (end.session, end.source) != (session, source):
                continue
            if found is None or end.target == target:
                found = end
        return found

    def _woken(self) -> None:
        self._awake = False
        self._receive(b"")

    def _receive(self, data: bytes) -> None:
        """Take bytes and answer them; a failure costs this client its connection only."""
        if not self._alive:
            return
        try:
            self._engine.receive(data)
            self._flush()
        except Exception:
            log.exception("client_failed")
            self.cut()

    def _flush(self) -> None:
        while True:
            self._write()
            if not self._starved or self._paused or not self._alive:
                return
            starved, self._starved = self._starved, set()
            for link in starved:
                link.retry()
            if self._starved >= starved:
                return

    def _write(self) -> None:
        output, transport = self._engine.output, self._transport
        if transport is None or transport.is_closing():
            return
        while not self._paused:
            data = output()
            if data:
                transport.write(data)
            else:
                if data is None:
                    self._finish(transport)
                return

    def _finish(self, transport: asyncio.Transport) -> None:
        """Close the socket once all is written, or after a while anyway."""
        if self._finished:
            return
        self._finished = True
        self._drop_links(lambda end: True)
        transport.close()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(_LINGER, self.cut)

    # The engine

    def on_delivery(self, link: int, delivery: Pointer, message_format: int) -> None:
        """A delivery has new bytes or a new state."""
        end = self._links.get(link)
        if end is not None:
            end.on_delivery(delivery, message_format)

    def on_credit(self, link: int) -> None:
        """The client has changed the credit of a link."""
        end = self._links.get(link)
        if end is not None:
            end.on_credit()

    def on_event(self, event: Event) -> None:
        """A connection, a session or a link opens or closes."""
        action = _ACTIONS.get(event.type.name)
        if action is not None and self._alive:
            action(self, event)

    def _open_connection(self, event: Event) -> None:
        connection = event.connection
        assert connection is not None
        connection.container = self._container
        connection.open()
        self._tick()

    def _close_connection(self, event: Event) -> None:
        self._drop_links(lambda end: True)
        if event.connection is not None:
            event.connection.close()

    def _open_session(self, event: Event) -> None:
        if event.session is not None:
            event.session.open()

    def _close_session(self, event: Event) -> None:
        session = event.session
        assert session is not None
        gone = address(session._impl)
        self._drop_links(lambda end: end.session == gone)
        session.close()
        session.free()

    def _open_link(self, event: Event) -> None:
        link = event.link
        assert link is not None
        attach(link, self._namespace, self)

    def _close_link(self, event: Event) -> None:
        link = event.link
        assert link is not None
        end = self._links.pop(address(link._impl), None)
        if end is not None:
            self._detach(end)
        link.close()
        link.free()

    def _failed(self, event: Event) -> None:
        transport = event.transport
        condition = transport.condition if transport is not None else None
        log.info("connection_failed", extra={"condition": str(condition)})

    def _drop_links(self, gone: Callable[[LinkEnd], bool]) -> None:
        for pointer, end in [each for each in self._links.items() if gone(each[1])]:
            del self._links[pointer]
            self._detach(end)

    def _detach(self, end: LinkEnd) -> None:
        end.detach()
        if isinstance(end, LeavingLink):
            self._starved.discard(end)

    def _tick(self) -> None:
        if self._finished or not self._alive:
            return
        if self._timer is not None:
            self._timer.cancel()
        now = self._loop.time()
        deadline = self._engine.tick(now)
        wait = min(max(deadline - now, 0.01), _LONGEST_TICK) if deadline else _LONGEST_TICK
        self._timer = self._loop.call_later(wait, self._tick)
        self.wake()


_ACTIONS: dict[str, Callable[[ClientConnection, Event], None]] = {
    "PN_CONNECTION_REMOTE_OPEN": ClientConnection._open_connection,
    "PN_CONNECTION_REMOTE_CLOSE": ClientConnection._close_connection,
    "PN_SESSION_REMOTE_OPEN": ClientConnection._open_session,
    "PN_SESSION_REMOTE_CLOSE": ClientConnection._close_session,
    "PN_LINK_REMOTE_OPEN": ClientConnection._open_link,
    "PN_LINK_REMOTE_CLOSE": ClientConnection._close_link,
    "PN_LINK_REMOTE_DETACH": ClientConnection._close_link,
    "PN_TRANSPORT_ERROR": ClientConnection._failed,
}
