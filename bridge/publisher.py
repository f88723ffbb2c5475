"""The bridge's edge to Service Bus: packs messages into sends and says what became of each."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass

from azure.servicebus import parse_connection_string
from azure.servicebus.aio import ServiceBusClient, ServiceBusSender
from azure.servicebus.exceptions import (
    MessageSizeExceededError,
    MessagingEntityDisabledError,
    MessagingEntityNotFoundError,
    ServiceBusAuthenticationError,
    ServiceBusAuthorizationError,
    ServiceBusQuotaExceededError,
    ServiceBusServerBusyError,
)

from bridge.errors import BrokerUnavailable, EntityUnavailable, SettingsError
from bridge.send import Outcome, Send
from bridge.settings import Settings

#: The SDK's accounting of a batch's size leaves out the envelope (about 60 bytes).
ENVELOPE_SLACK = 512

#: Seconds to let a connection close. It has then said good-bye; what the SDK waits for beyond that
#: is a keep-alive task of its own that sleeps for up to a second.
CLOSE_TIMEOUT = 0.5

#: Seconds without a send after which a link is not used any more. The service detaches an idle one
#: after 10 minutes, and a send into that would have an unknown outcome.
IDLE_LIMIT = 240.0

#: The broker answers; it is this entity that it refuses, and others may do.
_ENTITY_REFUSALS = (
    MessagingEntityDisabledError,
    MessagingEntityNotFoundError,
    ServiceBusAuthorizationError,
    ServiceBusQuotaExceededError,
)


@dataclass(slots=True)
class Link:
    """A sender of the SDK's, which has a connection of its own."""

    sender: ServiceBusSender
    used_at: float
    """On time.monotonic()."""


class Publisher:
    """A client of the broker, with a link for each entity that it sends to.

    Not safe for two tasks at once: the SDK's sender is not.
    """

    def __init__(self, settings: Settings, *, idle_limit: float = IDLE_LIMIT) -> None:
        """Raises SettingsError when the connection string is not one."""
        if settings.servicebus_connection_string is not None:
            check_connection_string(settings.servicebus_connection_string)
        self._settings = settings
        self._idle_limit = idle_limit
        self._client: ServiceBusClient | None = None
        self._credential: contextlib.AbstractAsyncContextManager[object] | None = None
        # The client itself knows its senders by weak references alone, and does not close those
        # that nobody else holds.
        self._links: dict[tuple[str, str], Link] = {}
        self._entity: tuple[str, str] | None = None

    async def new_send(
        self, entity_kind: str, entity: str, *, max_bytes: int, max_messages: int, subject: str
    ) -> Send:
        """An empty send within the link's and the destination's limits.

        Opens the link if need be; raises BrokerUnavailable when that fails.
        """
        try:
            async with asyncio.timeout(self._settings.send_deadline):
                sender = await self._link(entity_kind, entity)
                limit = (await sender.create_message_batch()).max_size_in_bytes
                batch = await sender.create_message_batch(min(limit, max_bytes) - ENVELOPE_SLACK)
        except TimeoutError as error:
            await self._drop_link()
            raise BrokerUnavailable(
                f"no answer within {self._settings.send_deadline:g} seconds"
            ) from error
        except _ENTITY_REFUSALS as error:
            await self._drop_link()
            raise EntityUnavailable(_describe(error)) from error
        # Not only the SDK's own errors: those of the credential and of its AMQP layer come through.
        except Exception as error:
            await self._drop_link()
            raise BrokerUnavailable(_describe(error)) from error
        return Send(batch, min(max_messages, self._settings.max_send_messages), subject)

    async def send(self, send: Send) -> Outcome:
        """Sends it, once, within the send deadline.

        The SDK's own retries are off: one call is one send. After anything but an acceptance or a
        clean refusal the link is dropped, since an answer may still be under way on it.
        """
        assert self._entity is not None, "new_send has opened the link"
        link = self._links[self._entity]
        try:
            async with asyncio.timeout(self._settings.send_deadline):
                await link.sender.send_messages(send.batch)
        except TimeoutError:
            await self._drop_link()
            return Outcome("unknown", f"no answer within {self._settings.send_deadline:g} seconds")
        except ServiceBusServerBusyError as error:
            return Outcome("throttled", _describe(error))
        except _ENTITY_REFUSALS as error:
            await self._drop_link()
            return Outcome("unavailable", _describe(error))
        except (MessageSizeExceededError, ServiceBusAuthenticationError) as error:
            await self._drop_link()
            return Outcome("rejected", _describe(error))
        except Exception as error:  # noqa: BLE001
            # Whatever it is, it came after the send had begun.
            await self._drop_link()
            return Outcome("unknown", _describe(error))
        link.used_at = time.monotonic()
        return Outcome("accepted")

    async def close(self) -> None:
        """Closes all links; the next send opens a new one."""
        senders = [link.sender for link in self._links.values()]
        client, credential = self._client, self._credential
        self._links.clear()
        self._client = self._credential = self._entity = None
        await asyncio.gather(*(_close(sender) for sender in senders))
        for part in (client, credential):
            if part is not None:
                await _close(part)

    async def _drop_link(self) -> None:
        """Closes the link of the last `new_send`; its next one opens another."""
        if self._entity is not None and (link := self._links.pop(self._entity, None)) is not None:
            await _close(link.sender)

    async def _link(self, entity_kind: str, entity: str) -> ServiceBusSender:
        self._entity = (entity_kind, entity)
        now = time.monotonic()
        link = self._links.get(self._entity)
        if link is not None and now - link.used_at > self._idle_limit:
            await self._drop_link()
            link = None
        if link is None:
            if self._client is None:
                self._client = self._new_client()
            open_sender = (
                self._client.get_topic_sender
                if entity_kind == "topic"
                else self._client.get_queue_sender
            )
            link = self._links[self._entity] = Link(open_sender(entity), now)
        return link.sender

    def _new_client(self) -> ServiceBusClient:
        if self._settings.servicebus_connection_string is not None:
            return ServiceBusClient.from_connection_string(
                self._settings.servicebus_connection_string, retry_total=0
            )
        # Only whoever signs in with Entra ID pays for importing it.
        from azure.identity.aio import DefaultAzureCredential

        assert self._settings.servicebus_namespace is not None
        credential = DefaultAzureCredential()
        self._credential = credential
        return ServiceBusClient(self._settings.servicebus_namespace, credential, retry_total=0)


async def _close(part: contextlib.AbstractAsyncContextManager[object]) -> None:
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


def _describe(error: BaseException) -> str:
    """One line, without what an SDK error drags along."""
    text = " ".join(str(error).split()) or type(error).__name__
    return f"{type(error).__name__}: {text}"[:500]
