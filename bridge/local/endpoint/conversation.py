"""What the events of one connection's engine lead to: what a client opens and closes, and sends."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from proton import Event

from bridge.local.endpoint.attach import attach
from bridge.local.endpoint.engine import Pointer, address
from bridge.local.endpoint.link_table import LinkTable
from bridge.local.endpoint.namespace import Namespace
from bridge.local.endpoint.request_node import Home

log = logging.getLogger(__name__)


class Host(Home, Protocol):
    """The connection that the conversation is held over."""

    @property
    def alive(self) -> bool:
        """Whether the client is still listened to."""
        ...

    def tick(self) -> None:
        """Begin to keep time: the client has said how long it may be silent."""
        ...


class Conversation:
    """Answers one client's connection, sessions and links; `links` are those that are attached.

    container: what the client is told that it speaks to.
    """

    def __init__(self, host: Host, links: LinkTable, namespace: Namespace, container: str) -> None:
        self._host = host
        self._links = links
        self._namespace = namespace
        self._container = container

    def on_delivery(self, link: int, delivery: Pointer, message_format: int) -> None:
        """A delivery has new bytes or a new state."""
        end = self._links.end(link)
        if end is not None:
            end.on_delivery(delivery, message_format)

    def on_credit(self, link: int) -> None:
        """The client has changed the credit of a link."""
        end = self._links.end(link)
        if end is not None:
            end.on_credit()

    def on_event(self, event: Event) -> None:
        """A connection, a session or a link opens or closes."""
        action = _ACTIONS.get(event.type.name)
        if action is not None and self._host.alive:
            action(self, event)

    def _open_connection(self, event: Event) -> None:
        connection = event.connection
        assert connection is not None
        connection.container = self._container
        connection.open()
        self._host.tick()

    def _close_connection(self, event: Event) -> None:
        self._links.drop()
        if event.connection is not None:
            event.connection.close()

    def _open_session(self, event: Event) -> None:
        if event.session is not None:
            event.session.open()

    def _close_session(self, event: Event) -> None:
        session = event.session
        assert session is not None
        gone = address(session._impl)
        self._links.drop(lambda end: end.session == gone)
        session.close()
        session.free()

    def _open_link(self, event: Event) -> None:
        link = event.link
        assert link is not None
        attach(link, self._namespace, self._host)

    def _close_link(self, event: Event) -> None:
        link = event.link
        assert link is not None
        self._links.drop_one(address(link._impl))
        link.close()
        link.free()

    def _failed(self, event: Event) -> None:
        transport = event.transport
        condition = transport.condition if transport is not None else None
        log.info("connection_failed", extra={"condition": str(condition)})


_ACTIONS: dict[str, Callable[[Conversation, Event], None]] = {
    "PN_CONNECTION_REMOTE_OPEN": Conversation._open_connection,
    "PN_CONNECTION_REMOTE_CLOSE": Conversation._close_connection,
    "PN_SESSION_REMOTE_OPEN": Conversation._open_session,
    "PN_SESSION_REMOTE_CLOSE": Conversation._close_session,
    "PN_LINK_REMOTE_OPEN": Conversation._open_link,
    "PN_LINK_REMOTE_CLOSE": Conversation._close_link,
    "PN_LINK_REMOTE_DETACH": Conversation._close_link,
    "PN_TRANSPORT_ERROR": Conversation._failed,
}
