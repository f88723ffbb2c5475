"""A node that answers requests, `$cbs` or a `$management`, to the links of one session."""

from __future__ import annotations

from functools import partial
from typing import Protocol

from bridge.local.endpoint import cbs, management
from bridge.local.endpoint.batch import too_large
from bridge.local.endpoint.faults.acting import act
from bridge.local.endpoint.faults.fault import Fault
from bridge.local.endpoint.faults.replying import StruckRequest
from bridge.local.endpoint.links import PeerOfNew
from bridge.local.endpoint.namespace import Namespace, Node
from bridge.local.endpoint.outcomes import NOT_FOUND, Refused
from bridge.local.endpoint.queue import Queue
from bridge.local.endpoint.replies import ReplyLink
from bridge.local.endpoint.requests import Reply, Request, read_request, write_reply
from bridge.local.endpoint.topic import Subscription, Topic


class Home(PeerOfNew, Protocol):
    """The connection that the links of the session belong to."""

    def reply_link(self, session: int, source: str, target: str | None) -> ReplyLink | None:
        """Where replies of the node `source` go that are meant for `target`."""
        ...


class RequestNode:
    """Takes the requests that come by one link; `source` is where their replies come from."""

    largest = 262_144

    def __init__(
        self, node: Node, session: int, source: str, home: Home, namespace: Namespace
    ) -> None:
        self._node = node
        self._namespace = namespace
        self._session = session
        self._source = source
        self._home = home

    def accept(self, data: bytes, message_format: int) -> None:
        """Answer one request. Raises Refused if there is no telling whom to answer."""
        request = read_request(data)
        to = self._home.reply_link(self._session, self._source, request.reply_to)
        if to is None:
            raise Refused(
                NOT_FOUND, f"No link of this session receives the replies of '{self._source}'."
            )
        dashes = self._node.entity is None
        if self._home.faults.armed and (fault := self._fault(request)) is not None:
            carry_out = partial(self._reply, request)
            act(fault, StruckRequest(request, carry_out, to, self._home, dashes=dashes))
            return
        to.send(write_reply(request, self._reply(request), dashes=dashes))

    def _reply(self, request: Request) -> Reply:
        node = self._node
        if node.entity is None:
            return cbs.answer(request)
        return management.answer(node.entity, request, takes_sends=_takes_sends(node.entity))

    def _fault(self, request: Request) -> Fault | None:
        faults, entity = self._home.faults, self._node.entity
        if entity is not None:
            settles = request.operation == management.SETTLE
            return faults.strike("settle", entity.name) if settles else None
        if request.operation != cbs.PUT_TOKEN:
            return None
        return faults.strike("token", self._namespace.name_of(cbs.audience(request)))

    def refuse_large(self, size: int) -> Refused:
        """Why a request of `size` bytes is not read."""
        return too_large(size, self.largest)


def _takes_sends(entity: Queue | Topic) -> bool:
    """Whether clients may send to it: it is no subscription and no dead-letter queue."""
    if isinstance(entity, Topic):
        return True
    return entity.dead_letters is not None and not isinstance(entity, Subscription)
