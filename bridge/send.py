"""One send: messages packed into an AMQP batch, and what the broker made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from azure.servicebus import ServiceBusMessage, ServiceBusMessageBatch
from azure.servicebus.exceptions import MessageSizeExceededError

from bridge.batch import Message

Verdict = Literal["accepted", "rejected", "throttled", "unavailable", "unknown"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to a send.

    `unknown`: it may have arrived or not; a repeat has the same ids. `unavailable`: refused
    because of the entity (full, disabled, gone), not of the messages.
    """

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
