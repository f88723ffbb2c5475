"""One send: messages packed into an AMQP batch, and what the broker made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from azure.servicebus import ServiceBusMessage, ServiceBusMessageBatch
from azure.servicebus.exceptions import MessageSizeExceededError

from bridge.batch import Message

Verdict = Literal["accepted", "refused", "rejected", "throttled", "unavailable", "unknown"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to a send.

    `unknown`: it may have arrived or not; a repeat has the same ids. Any other but `accepted`:
    nothing of it has arrived. `refused`: for what is in it, or its size; a part of it may be taken.
    `unavailable`: because of the entity (full, disabled, gone, closed to us). `rejected`: for a
    reason that nobody foresaw.
    """

    verdict: Verdict
    error: str | None = None


class Send:
    """One AMQP batch message in the making: what goes to the broker as a whole."""

    def __init__(self, batch: ServiceBusMessageBatch, limit: int, subject: str) -> None:
        self._batch = batch
        self._limit = limit
        self._subject = subject
        self.messages: list[Message] = []
        """What was added, in order."""

    def __len__(self) -> int:
        return len(self.messages)

    @property
    def first_index(self) -> int:
        return self.messages[0].task_index

    @property
    def last_index(self) -> int:
        return self.messages[-1].task_index

    @property
    def size(self) -> int:
        """Bytes, as the SDK counts them."""
        return self._batch.size_in_bytes

    @property
    def max_size(self) -> int:
        """Bytes that it takes, as the SDK counts them."""
        return self._batch.max_size_in_bytes

    @property
    def max_messages(self) -> int:
        return self._limit

    @property
    def batch(self) -> ServiceBusMessageBatch:
        return self._batch

    def add(self, message: Message) -> bool:
        """False when the message does not fit any more, and then it was not added."""
        if len(self.messages) >= self._limit:
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
        self.messages.append(message)
        return True
