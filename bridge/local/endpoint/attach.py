"""What becomes of a link that a client attaches: which end it gets here, or why it gets none."""

from __future__ import annotations

from collections.abc import Callable

from proton import Link, Terminus, symbol, ulong

from bridge.local.endpoint.answers import accept, refuse
from bridge.local.endpoint.arriving import ArrivingLink
from bridge.local.endpoint.engine import address
from bridge.local.endpoint.faults.acting import act
from bridge.local.endpoint.faults.attaching import StruckAttach
from bridge.local.endpoint.faults.fault import Operation
from bridge.local.endpoint.leaving import LeavingLink
from bridge.local.endpoint.links import LinkEnd, Sink
from bridge.local.endpoint.namespace import Namespace, Node, NodeKind
from bridge.local.endpoint.outcomes import (
    DECODE_ERROR,
    NOT_ALLOWED,
    NOT_IMPLEMENTED,
    Refused,
    not_found,
)
from bridge.local.endpoint.queue import Queue
from bridge.local.endpoint.replies import ReplyLink
from bridge.local.endpoint.request_node import Home, RequestNode
from bridge.local.endpoint.topic import Subscription

_BATCH_SIZE_PROPERTY = "com.microsoft:max-message-batch-size"
_SESSION_FILTER = "com.microsoft:session-filter"


def attach(link: Link, namespace: Namespace, home: Home) -> None:
    """Answer the attach of a client, and give the link its end here, if it is not refused."""
    link.snd_settle_mode = link.remote_snd_settle_mode
    link.rcv_settle_mode = link.remote_rcv_settle_mode
    try:
        terminus = link.remote_target if link.is_receiver else link.remote_source
        if terminus.type == Terminus.COORDINATOR:
            raise Refused(NOT_IMPLEMENTED, "Transactions are not supported here.")
        node = namespace.find(terminus.address)
        make = (_arriving if link.is_receiver else _leaving)(link, node, home, namespace)
    except Refused as refused:
        refuse(link, refused)
        return
    except UnicodeDecodeError as error:
        refuse(link, Refused(DECODE_ERROR, f"The link cannot be read: {error}."))
        return
    if home.faults.armed and node.kind is NodeKind.MESSAGES and node.entity is not None:
        side: Operation = "send" if link.is_receiver else "deliver"
        fault = home.faults.strike("attach", node.entity.name, side)
        if fault is not None:
            act(fault, StruckAttach(link, make, home))
            return
    accept(link)
    home.place(link, make())


def _arriving(link: Link, node: Node, home: Home, namespace: Namespace) -> Callable[[], LinkEnd]:
    pointer, session = link._impl, _address(link)
    to = node.entity
    sink: Sink
    entity: str | None = None
    if node.kind is NodeKind.MESSAGES and to is not None:
        if isinstance(to, Subscription):
            raise Refused(
                NOT_ALLOWED,
                f"Nothing can be sent to the subscription '{to.name}'; send to its topic.",
                entity=to.name,
            )
        if isinstance(to, Queue) and to.dead_letters is None:
            raise Refused(
                NOT_ALLOWED,
                f"Nothing can be sent to the dead-letter queue '{to.name}'.",
                entity=to.name,
            )
        link.max_message_size = to.config.message_bytes
        link.properties = {symbol(_BATCH_SIZE_PROPERTY): ulong(to.config.max_batch_bytes)}
        sink, entity = to, to.name
    else:
        sink = RequestNode(node, session, link.remote_target.address or "", home, namespace)
        link.max_message_size = sink.largest
    return lambda: ArrivingLink(pointer, session, sink, home, entity)


def _leaving(link: Link, node: Node, home: Home, namespace: Namespace) -> Callable[[], LinkEnd]:
    pointer, queue = link._impl, node.queue
    if node.kind is NodeKind.MESSAGES and node.entity is not None:
        if queue is None:
            # So the service, as seen in eShopOnContainers#1698.
            hint = " It is a topic: receive from one of its subscriptions."
            raise not_found(node.entity.name, hint)
        if _has_filter(link, _SESSION_FILTER):
            # Its text: kafka-docker-playground#7949.
            raise Refused(
                NOT_ALLOWED,
                "A sessionful message receiver cannot be created on an entity that does not"
                " require sessions. Ensure RequiresSession is set to true when creating a Queue or"
                " Subscription to enable sessionful behavior.",
                entity=queue.name,
            )
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
