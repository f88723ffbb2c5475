"""What becomes of a link that a client attaches: which end it gets here, or why it gets none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from proton import Link, Terminus, symbol, ulong

from bridge.local.endpoint import cbs, management
from bridge.local.endpoint.arriving import ArrivingLink, Sink
from bridge.local.endpoint.batch import too_large
from bridge.local.endpoint.engine import address
from bridge.local.endpoint.leaving import LeavingLink
from bridge.local.endpoint.links import LinkEnd, Peer, refusal
from bridge.local.endpoint.namespace import Namespace, Node, NodeKind
from bridge.local.endpoint.outcomes import NOT_ALLOWED, NOT_FOUND, NOT_IMPLEMENTED, Refused
from bridge.local.endpoint.replies import ReplyLink
from bridge.local.endpoint.requests import read_request, write_reply

_BATCH_SIZE_PROPERTY = "com.microsoft:max-message-batch-size"
_SESSION_FILTER = "com.microsoft:session-filter"


class Home(Peer, Protocol):
    """The connection that a new link belongs to."""

    def reply_link(self, session: int, source: str, target: str | None) -> ReplyLink | None:
        """Where replies of the node `source` go that are meant for `target`."""
        ...


def attach(link: Link, namespace: Namespace, home: Home) -> LinkEnd | None:
    """Answer the attach of a client. Returns our end, or None if the link has been refused.

    A refusal is an attach without the terminus on our side, followed by a detach with the error:
    AMQP 1.0, part 2, 2.6.3. Without that, the SDK would take a sender for attached.
    """
    link.snd_settle_mode = link.remote_snd_settle_mode
    link.rcv_settle_mode = link.remote_rcv_settle_mode
    try:
        if link.is_receiver:
            make = _arriving(link, namespace.find(link.remote_target.address), home)
        else:
            make = _leaving(link, namespace.find(link.remote_source.address), home)
    except Refused as refused:
        ours = link.target if link.is_receiver else link.source
        ours.type = Terminus.UNSPECIFIED
        link.open()
        link.condition = refusal(refused)
        link.close()
        return None
    link.source.copy(link.remote_source)
    link.target.copy(link.remote_target)
    link.open()
    return make()


def _arriving(link: Link, node: Node, home: Home) -> Callable[[], LinkEnd]:
    pointer, session = link._impl, _address(link)
    queue = node.queue
    sink: Sink
    if node.kind is NodeKind.MESSAGES and queue is not None:
        if queue.dead_letters is None:
            raise Refused(NOT_ALLOWED, f"Nothing can be sent to '{queue.name}'.")
        link.max_message_size = queue.config.message_bytes
        link.properties = {symbol(_BATCH_SIZE_PROPERTY): ulong(queue.config.max_batch_bytes)}
        sink = queue
    else:
        sink = _Requests(node, session, link.remote_target.address or "", home)
        link.max_message_size = sink.largest
    return lambda: ArrivingLink(pointer, session, sink)


class _Requests:
    """Answers the requests to one node, over the links of one session."""

    largest = 262_144

    def __init__(self, node: Node, session: int, source: str, home: Home) -> None:
        self._node = node
        self._session = session
        self._source = source
        self._home = home

    def accept(self, data: bytes, message_format: int) -> None:
        """Answer one request. Raises Refused if there is no telling whom to answer."""
        request = read_request(data)
        to = self._home.reply_link(self._session, self._source, request.message.reply_to)
        if to is None:
            raise Refused(
                NOT_FOUND, f"No link of this session receives the replies of '{self._source}'."
            )
        queue = self._node.queue
        reply = cbs.answer(request) if queue is None else management.answer(queue, request)
        to.send(write_reply(request, reply, dashes=queue is None))

    def refuse_large(self, size: int) -> Refused:
        """Why a request of `size` bytes is not read."""
        return too_large(size, self.largest)


def _leaving(link: Link, node: Node, home: Home) -> Callable[[], LinkEnd]:
    pointer, queue = link._impl, node.queue
    if node.kind is NodeKind.MESSAGES and queue is not None:
        if _has_filter(link, _SESSION_FILTER):
            raise Refused(NOT_IMPLEMENTED, "Sessions are not supported here.")
        session = link.session._impl
        locks = link.remote_snd_settle_mode != Link.SND_SETTLED
        return lambda: LeavingLink(pointer, session, home, queue, locks)
    source, target = link.remote_source.address or "", link.remote_target.address
    return lambda: ReplyLink(pointer, _address(link), source, target)


def _has_filter(link: Link, name: str) -> bool:
    filters = link.remote_source.filter
    filters.rewind()
    if filters.next() is None:
        return False
    given = filters.get_object()
    return isinstance(given, dict) and name in given


def _address(link: Link) -> int:
    return address(link.session._impl)
