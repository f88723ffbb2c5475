"""One client's socket: what it receives goes to a protocol engine, whose answers it is sent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import cast

from proton import Link

from bridge.local.endpoint.conversation import Conversation
from bridge.local.endpoint.engine import Engine, Pointer
from bridge.local.endpoint.faults import FaultBook
from bridge.local.endpoint.faults.acting import act
from bridge.local.endpoint.faults.connecting import Hearing, StruckConnection
from bridge.local.endpoint.link_table import LinkTable
from bridge.local.endpoint.links import LinkEnd, Starved
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
        self._closed = closed
        self._loop = asyncio.get_running_loop()
        self._links = LinkTable()
        self._engine = Engine(Conversation(self, self._links, namespace, container), idle_timeout)
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
        self._links.drop()
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
        self._links.drop()
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
    def alive(self) -> bool:
        """Whether the client is still listened to."""
        return self._alive

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
        self._links.starve(link)

    def place(self, link: Link, end: LinkEnd) -> None:
        """Let `end` be our end of `link` from now on."""
        self._links.place(link, end)

    def reply_link(self, session: int, source: str, target: str | None) -> ReplyLink | None:
        """The link for replies of `source`: the one that asked for `target`, or any."""
        return self._links.reply_link(session, source, target)

    def detach_link(self, link: Pointer, refused: Refused) -> None:
        """Detach a link with an error, from our side; its end is told too."""
        if self._links.detach(link, refused):
            self.wake()

    def detach_links(self, wanted: Callable[[LinkEnd], bool], refused: Refused) -> int:
        """Detach the links whose ends are `wanted`; returns how many they were."""
        count = self._links.detach_all(wanted, refused)
        if count:
            self.wake()
        return count

    # Bytes

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
            if not self._links.starving or self._paused or not self._alive:
                return
            if not self._links.retry():
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
        self._links.drop()
        transport.close()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(_LINGER, self.cut)

    def tick(self) -> None:
        """Let the engine know that time has passed, now and again."""
        if self._finished or not self._alive:
            return
        if self._timer is not None:
            self._timer.cancel()
        now = self._loop.time()
        deadline = self._engine.tick(now)
        wait = min(max(deadline - now, 0.01), _LONGEST_TICK) if deadline else _LONGEST_TICK
        self._timer = self._loop.call_later(wait, self.tick)
        self.wake()
