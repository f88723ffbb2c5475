"""The links to the broker's entities: opened when needed, kept while in use, closed in time."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass

from azure.core.settings import settings as sdk_settings
from azure.servicebus import parse_connection_string
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender

from bridge.errors import SettingsError
from bridge.failpoints import shut_down
from bridge.settings import Settings

#: Seconds to let a connection close. It has then said good-bye; what the SDK waits for beyond that
#: is a keep-alive task of its own that sleeps for up to a second.
CLOSE_TIMEOUT = 0.5

#: Seconds without a send after which a link is not used any more. The service detaches an idle one
#: after 10 minutes, and a send into that would have an unknown outcome.
IDLE_LIMIT = 240.0

#: Requests that a receiver's management link is used for. The SDK (7.15.0) grants the broker 10,000
#: replies on one and never another: the request after them waits for ever.
REQUESTS_OF_A_LINK = 5000


@dataclass(slots=True)
class Link:
    """A sender of the SDK's, which has a connection of its own."""

    sender: ServiceBusSender
    used_at: float
    """On time.monotonic()."""


#: Its kind, `queue` or `topic`, and its name.
Entity = tuple[str, str]

#: What the SDK makes that can be closed: a client, a sender, a receiver, a credential.
Part = contextlib.AbstractAsyncContextManager[object]


class Links:
    """A client of the broker, with a link for each entity.

    The SDK's own retries are off, and so is its tracing, in all of the process: it adds headers to
    each message that is put into a batch, and atomic batches are packed without room for them.
    """

    def __init__(self, settings: Settings, *, idle_limit: float = IDLE_LIMIT) -> None:
        """Raises SettingsError when the connection string is not one."""
        if settings.servicebus_connection_string is not None:
            check_connection_string(settings.servicebus_connection_string)
        sdk_settings.tracing_implementation.set_value(None)
        self._settings = settings
        self._idle_limit = idle_limit
        self._client: ServiceBusClient | None = None
        self._credential: Part | None = None
        # The client itself knows its senders by weak references alone, and does not close those
        # that nobody else holds.
        self._links: dict[Entity, Link] = {}

    async def get(self, entity: Entity) -> Link:
        """The link to the entity, a new one after a drop or a long idle time."""
        now = time.monotonic()
        link = self._links.get(entity)
        if link is not None and now - link.used_at > self._idle_limit:
            await self.drop(entity)
            link = None
        if link is None:
            if self._client is None:
                self._client, self._credential = new_client(self._settings)
            kind, name = entity
            open_sender = (
                self._client.get_topic_sender if kind == "topic" else self._client.get_queue_sender
            )
            link = self._links[entity] = Link(open_sender(name), now)
        return link

    async def drop(self, entity: Entity) -> None:
        """Closes the link to the entity, if there is one; the next `get` opens another."""
        if (link := self._links.pop(entity, None)) is not None:
            await close(link.sender)

    async def close(self) -> None:
        """Closes all of them, and the client; the next `get` begins anew."""
        senders = [link.sender for link in self._links.values()]
        client, credential = self._client, self._credential
        self._links.clear()
        self._client = self._credential = None
        await asyncio.gather(*(close(sender) for sender in senders))
        for part in (client, credential):
            if part is not None:
                await close(part)


def new_client(settings: Settings) -> tuple[ServiceBusClient, Part | None]:
    """A client without retries of its own, and what it signs in with, to be closed after it."""
    if settings.servicebus_connection_string is not None:
        return ServiceBusClient.from_connection_string(
            settings.servicebus_connection_string, retry_total=0
        ), None
    # Only whoever signs in with Entra ID pays for importing it.
    from azure.identity.aio import DefaultAzureCredential

    assert settings.servicebus_namespace is not None
    credential = DefaultAzureCredential()
    return ServiceBusClient(settings.servicebus_namespace, credential, retry_total=0), credential


def cut_link(end: ServiceBusSender | ServiceBusReceiver) -> None:
    """Ends the connection beneath, as a network does that fails; for failpoints."""
    # The SDK has no public way to its socket.
    if (connection := end._handler._connection) is not None:
        shut_down(connection._transport.writer.get_extra_info("socket"))


async def close(part: Part) -> None:
    """Closes it, in CLOSE_TIMEOUT seconds or not at all."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await part.__aexit__(None, None, None)


def check_connection_string(text: str) -> None:
    """Raises SettingsError unless it is a connection string of a namespace."""
    name = "servicebus_connection_string (STAGEBUS_SERVICEBUS_CONNECTION_STRING)"
    try:
        parts = parse_connection_string(text)
    except ValueError as error:
        raise SettingsError(f"{name} is not usable: {error}") from None
    if parts.entity_path is not None:
        raise SettingsError(
            f"{name} is for the entity {parts.entity_path!r} alone: a bridge needs that of the"
            " namespace, without EntityPath"
        )


async def forget_management_links(receiver: ServiceBusReceiver) -> None:
    """Closes them; the receiver's next request opens another."""
    links = receiver._handler._mgmt_links
    while links:
        _, link = links.popitem()
        await link.close()
