"""A connection that a fault befalls as it is made: it is cut, or not listened to for a while."""

from __future__ import annotations

from collections.abc import Callable

from bridge.local.endpoint.faults.timers import Timers
from bridge.local.endpoint.outcomes import Refused

# Bytes that are kept of a client that is not listened to; a first flight has a few hundred.
_KEPT = 65_536


class Hearing:
    """Passes on what a client sends, at once or from later on."""

    def __init__(self, receive: Callable[[bytes], None]) -> None:
        self.receive = receive
        self._receive = receive
        self._kept = b""
        self._timers = Timers()

    def hold(self) -> None:
        """Keep what is sent from now on; the client may still leave."""
        self.receive = self._keep

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call after `seconds`, unless the client has gone."""
        self._timers.later(seconds, call)

    def resume(self) -> None:
        """Pass on what was kept, and all that comes."""
        self.receive = self._receive
        kept, self._kept = self._kept, b""
        if kept:
            self._receive(kept)

    def stop(self) -> None:
        """The connection is gone."""
        self._timers.cancel()
        self._kept = b""

    def _keep(self, data: bytes) -> None:
        self._kept = (self._kept + data)[:_KEPT]


class StruckConnection:
    """A connection that has just been made and waits to be listened to."""

    def __init__(self, hearing: Hearing, cut: Callable[[], None]) -> None:
        self._hearing = hearing
        self._cut = cut
        hearing.hold()

    def perform(self) -> None:
        """A connection takes effect when it is listened to."""

    def answer(self) -> None:
        self._hearing.resume()

    def refuse(self, refused: Refused) -> None:
        self._cut()

    def give_back(self, *, failed: bool) -> None:
        raise NotImplementedError("a connection cannot be given back")

    def cut(self, *, done: bool) -> None:
        self._cut()

    def detach_link(self, refused: Refused) -> None:
        raise NotImplementedError("a connection that was just made has no links")

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self._hearing.later(seconds, call)
