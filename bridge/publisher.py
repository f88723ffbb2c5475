"""The bridge's edge to Service Bus: makes sends, sends them and says what became of each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

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

from bridge.encoder_check import chosen_encoder
from bridge.errors import BrokerUnavailable, EntityUnavailable
from bridge.failpoints import failpoint
from bridge.links import IDLE_LIMIT, Entity, Link, Links, cut_link
from bridge.message_bytes import Common
from bridge.send import Outcome, Send, Verdict
from bridge.settings import Settings

#: The SDK's accounting of a batch's size leaves out the envelope (about 60 bytes).
ENVELOPE_SLACK = 512

#: The broker answers; it is this entity that it refuses, and others may do.
ENTITY_REFUSALS = (
    MessagingEntityDisabledError,
    MessagingEntityNotFoundError,
    ServiceBusAuthenticationError,
    ServiceBusAuthorizationError,
    ServiceBusQuotaExceededError,
)

#: Conditions of AMQP and of the service with which a broker rejects a send for what is in it.
_REFUSALS_OF_CONTENT = {
    "amqp:decode-error",
    "amqp:invalid-field",
    "amqp:not-allowed",
    "amqp:not-implemented",
    "amqp:precondition-failed",
    "com.microsoft:argument-error",
    "com.microsoft:argument-out-of-range",
}

#: Conditions that the SDK makes up, or that leave open what became of the send.
_OPEN_CONDITIONS = {
    "amqp:client-error",
    "amqp:internal-error",
    "amqp:unknown-error",
    "com.microsoft:timeout",
}


class Publisher:
    """Makes sends and sends them, over a link for each entity.

    Not safe for two tasks at once: the SDK's sender is not.
    """

    def __init__(self, settings: Settings, *, idle_limit: float = IDLE_LIMIT) -> None:
        """Raises SettingsError when the connection string is not one."""
        self._settings = settings
        self._links = Links(settings, idle_limit=idle_limit)
        self._encoder = chosen_encoder()
        self._entity: Entity | None = None
        self._link: Link | None = None
        self._patience = settings.send_deadline
        self._waiting: asyncio.Timeout | None = None

    async def new_send(
        self,
        entity_kind: str,
        entity: str,
        *,
        max_bytes: int,
        max_messages: int,
        subject: str,
        whole: bool = False,
    ) -> Send:
        """An empty send within the link's and the destination's limits.

        Within the setting `max_send_messages`, too, unless it takes a `whole` batch, which was
        packed to what the destination takes.
        Opens the link if need be; raises BrokerUnavailable when that fails.
        """
        self._entity = (entity_kind, entity)
        try:
            async with self._answering():
                self._link = await self._links.get(self._entity)
                sender = self._link.sender
                limit = (await sender.create_message_batch()).max_size_in_bytes
                batch = await sender.create_message_batch(min(limit, max_bytes) - ENVELOPE_SLACK)
        except TimeoutError as error:
            await self._drop_link()
            raise BrokerUnavailable(self._no_answer) from error
        except ENTITY_REFUSALS as error:
            await self._drop_link()
            raise EntityUnavailable(_describe(error)) from error
        # Not only the SDK's own errors: those of the credential and of its AMQP layer come through.
        except Exception as error:
            await self._drop_link()
            raise BrokerUnavailable(_describe(error)) from error
        if not whole:
            max_messages = min(max_messages, self._settings.max_send_messages)
        return Send(self._encoder(batch, Common(subject=subject)), max_messages)

    @failpoint
    async def send(self, send: Send) -> Outcome:
        """Sends it, once, within the send deadline.

        The SDK's own retries are off: one call is one send. After anything but an acceptance or a
        clean refusal the link is dropped, since an answer may still be under way on it.
        """
        link = self._link
        assert link is not None, "new_send has opened the link"
        try:
            async with self._answering():
                await link.sender.send_messages(send.batch)
        except TimeoutError:
            await self._drop_link()
            return Outcome("unknown", self._no_answer)
        except Exception as error:  # noqa: BLE001
            verdict = _verdict(error)
            if verdict != "throttled":
                await self._drop_link()
            return Outcome(verdict, _describe(error))
        link.used_at = time.monotonic()
        return Outcome("accepted")

    def hurry(self, seconds: float) -> None:
        """No answer is waited for longer than that any more, that under way included."""
        self._patience = min(self._patience, seconds)
        waiting = self._waiting
        # One whose time has passed, and that is not over yet, cannot be told any more.
        if waiting is None or waiting.expired() or (ends_at := waiting.when()) is None:
            return
        now = asyncio.get_running_loop().time()
        waiting.reschedule(min(ends_at, now + self._patience))

    async def cut(self, *, answered: bool) -> None:
        """For failpoints: the link in use is dead; an answer that has come is not lost."""
        if self._link is not None:
            cut_link(self._link.sender)

    async def close(self) -> None:
        """Closes all links; the next send opens a new one."""
        self._entity = self._link = None
        await self._links.close()

    @asynccontextmanager
    async def _answering(self) -> AsyncIterator[None]:
        """A block that waits for the broker; raises TimeoutError when that takes too long."""
        async with asyncio.timeout(self._patience) as self._waiting:
            try:
                yield
            finally:
                self._waiting = None

    @property
    def _no_answer(self) -> str:
        return f"no answer within {self._patience:g} seconds"

    async def _drop_link(self) -> None:
        """Closes the link of the last `new_send`; its next one opens another."""
        self._link = None
        if self._entity is not None:
            await self._links.drop(self._entity)


def _verdict(error: Exception) -> Verdict:
    """What an error says of a send that had begun.

    Only the broker's answer to it does. What comes without one, such as a token that expired while
    it was under way, leaves open whether it has arrived.
    """
    if isinstance(error, MessageSizeExceededError):
        # The SDK finds out by itself, too, and then has sent nothing.
        return "refused"
    condition = _rejected_with(error)
    if condition is None:
        return "unknown"
    if isinstance(error, ServiceBusServerBusyError):
        return "throttled"
    if isinstance(error, ENTITY_REFUSALS):
        return "unavailable"
    if condition in _OPEN_CONDITIONS:
        return "unknown"
    return "refused" if condition in _REFUSALS_OF_CONTENT else "rejected"


def _rejected_with(error: BaseException) -> str | None:
    """The condition with which the broker rejected the send; None when it said nothing of it.

    The SDK keeps the answer as the inner exception of a class that it does not publish.
    """
    answer = error.inner_exception if isinstance(error, ServiceBusError) else None
    if type(answer).__name__ not in ("MessageException", "MessageSendFailed"):
        return None
    condition = getattr(answer, "condition", None)
    text = getattr(condition, "value", condition)
    return text.decode("ascii", "replace") if isinstance(text, bytes) else str(text)


def _describe(error: BaseException) -> str:
    """One line, without what an SDK error drags along."""
    text = " ".join(str(error).split()) or type(error).__name__
    return f"{type(error).__name__}: {text}"[:500]
