"""A request to `$cbs` or `$management` that a fault befalls: its answer is a message of its own."""

from __future__ import annotations

from collections.abc import Callable

from bridge.local.endpoint.links import Peer
from bridge.local.endpoint.outcomes import (
    ENTITY_DISABLED,
    MESSAGE_LOCK_LOST,
    NOT_FOUND,
    RESOURCE_LIMIT_EXCEEDED,
    SERVER_BUSY,
    UNAUTHORIZED,
    Refused,
)
from bridge.local.endpoint.replies import ReplyLink
from bridge.local.endpoint.requests import Reply, Request, write_reply

# The status that goes with a condition; any other error has 500.
_STATUS = {
    UNAUTHORIZED: 401,
    ENTITY_DISABLED: 403,
    RESOURCE_LIMIT_EXCEEDED: 403,
    NOT_FOUND: 404,
    "com.microsoft:timeout": 408,
    MESSAGE_LOCK_LOST: 410,
    SERVER_BUSY: 503,
}


class StruckRequest:
    """One request; `carry_out` applies it and returns the reply it would get."""

    def __init__(
        self,
        request: Request,
        carry_out: Callable[[], Reply],
        to: ReplyLink,
        peer: Peer,
        *,
        dashes: bool,
    ) -> None:
        self._request = request
        self._carry_out = carry_out
        self._to = to
        self._peer = peer
        self._dashes = dashes
        self._reply = Reply(500, "The request was not carried out.")

    def perform(self) -> None:
        self._reply = self._carry_out()

    def answer(self) -> None:
        self._to.send(write_reply(self._request, self._reply, dashes=self._dashes))
        self._peer.wake()

    def refuse(self, refused: Refused) -> None:
        status = _STATUS.get(refused.condition, 500)
        self._reply = Reply(status, refused.description, refused.condition)
        self.answer()

    def give_back(self, *, failed: bool) -> None:
        raise NotImplementedError("a request cannot be given back")

    def cut(self, *, done: bool) -> None:
        self._peer.cut()

    def detach_link(self, refused: Refused) -> None:
        self._peer.detach_link(self._to.link, refused)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self._to.timers.later(seconds, call)
