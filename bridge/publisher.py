"""The bridge's edge to Service Bus: packs messages into sends and says what became of each."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Literal

from azure.servicebus import ServiceBusMessage, ServiceBusMessageBatch
from azure.servicebus.aio import ServiceBusClient, ServiceBusSender
from azure.servicebus.exceptions import (
    MessageSizeExceededError,
    MessagingEntityDisabledError,
    MessagingEntityNotFoundError,
    ServiceBusAuthenticationError,
    ServiceBusAuthorizationError,
    ServiceBusError,
    ServiceBusQuotaExceededError,
    ServiceBusServerBusyError,
)

from bridge.database import Message
from bridge.settings import Settings

#: The SDK's accounting of a batch's size leaves out the envelope (about 60 bytes).
ENVELOPE_SLACK = 512

#: Seconds to let a connection close; after that it is left to the garbage collector.
CLOSE_TIMEOUT = 2.0

Verdict = Literal["accepted", "rejected", "throttled", "unknown"]

_REFUSALS = (
    MessageSizeExceededError,
    MessagingEntityDisabledError,
    MessagingEntityNotFoundError,
    ServiceBusAuthenticationError,
    ServiceBusAuthorizationError,
    ServiceBusQuotaExceededError,
)


class BrokerUnavailable(Exception):
    """No link to the entity could be opened; nothing was sent."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to a send. `unknown`: it may have arrived or not; a repeat has the same ids."""

    verdict: Verdict
    error: str | None = None


class Send:
    """One AMQP batch message in the making: what goes to the broker as a whole."""

    def __init__(self, batch: ServiceBusMessageBatch, limit: int, subject: str) -> None:
        self._batch = batch
        self._limit = limit
        self._subject = subject
        self.first_index = 0
        self.last_index = 0

    def __len__(self) -> int:
        return len(self._batch)

    @property
    def size(self) -> int:
        """Bytes, as the SDK counts them."""
        return self._batch.size_in_bytes

    @property
    def batch(self) -> ServiceBusMessageBatch:
        return self._batch

    def add(self, message: Message) -> bool:
        """False when the message does not fit any more, and then it was not added."""
        if len(self._batch) >= self._limit:
            return False
        try:
            self._batch.add_message(
                ServiceBusMessage(
                    message.body,
                    message_id=message.message_id,
                    subject=self._subject,
                    content_type="application/json",
                    application_properties={},
                )
            )
        except MessageSizeExceededError:
            return False
        if self.first_index == 0:
            self.first_index = message.task_index
        self.last_index = message.task_index
        return True


class Publisher:
    """One connection to the broker, with the sender of one entity at a time.

    Not safe for two tasks at once: the SDK's sender is not.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: ServiceBusClient | None = None
        self._credential: contextlib.AbstractAsyncContextManager[object] | None = None
        self._sender: ServiceBusSender | None = None
        self._entity: tuple[str, str] | None = None

    async def new_send(
        self, entity_kind: str, entity: str, *, max_bytes: int, max_messages: int, subject: str
    ) -> Send:
        """An empty send within the link's and the destination's limits.

        Opens the link if need be; raises BrokerUnavailable when that fails.
        """
        sender = await self._link(entity_kind, entity)
        try:
            async with asyncio.timeout(self._settings.send_deadline):
                limit = (await sender.create_message_batch()).max_size_in_bytes
                batch = await sender.create_message_batch(min(limit, max_bytes) - ENVELOPE_SLACK)
        except (ServiceBusError, OSError, TimeoutError) as error:
            await self.drop()
            raise BrokerUnavailable(_describe(error)) from error
        return Send(batch, min(max_messages, self._settings.max_send_messages), subject)

    async def send(self, send: Send) -> Outcome:
        """Sends it, once, within the send deadline.

        The SDK's own retries are off: one call is one send. After anything but an acceptance or a
        clean refusal the connection is dropped, since an answer may still be under way on it.
        """
        assert self._sender is not None, "new_send has opened the link"
        try:
            async with asyncio.timeout(self._settings.send_deadline):
                await self._sender.send_messages(send.batch)
        except TimeoutError:
            await self.drop()
            return Outcome("unknown", f"no answer within {self._settings.send_deadline:g} seconds")
        except ServiceBusServerBusyError as error:
            return Outcome("throttled", _describe(error))
        except _REFUSALS as error:
            await self.drop()
            return Outcome("rejected", _describe(error))
        except (ServiceBusError, OSError, ValueError) as error:
            await self.drop()
            return Outcome("unknown", _describe(error))
        return Outcome("accepted")

    async def drop(self) -> None:
        """Closes the connection; the next send opens a new one."""
        client, self._client = self._client, None
        credential, self._credential = self._credential, None
        self._sender = self._entity = None
        for part in (client, credential):
            if part is not None:
                with contextlib.suppress(Exception):
                    async with asyncio.timeout(CLOSE_TIMEOUT):
                        await part.__aexit__(None, None, None)

    async def _link(self, entity_kind: str, entity: str) -> ServiceBusSender:
        if self._sender is not None and self._entity == (entity_kind, entity):
            return self._sender
        if self._sender is not None:
            await self.drop()
        try:
            client = self._new_client()
        except ValueError as error:
            raise BrokerUnavailable(f"the connection string is not usable: {error}") from error
        self._client = client
        self._sender = (
            client.get_topic_sender(entity)
            if entity_kind == "topic"
            else client.get_queue_sender(entity)
        )
        self._entity = (entity_kind, entity)
        return self._sender

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


def _describe(error: BaseException) -> str:
    """One line, without what an SDK error drags along."""
    text = " ".join(str(error).split()) or type(error).__name__
    return f"{type(error).__name__}: {text}"[:500]
