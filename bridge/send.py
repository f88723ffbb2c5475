"""One send: messages packed into an AMQP batch, and what the broker made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from azure.servicebus import ServiceBusMessageBatch

from bridge.batch import Message
from bridge.encoder import SdkBatch

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

    def __init__(self, packed: SdkBatch, limit: int) -> None:
        """An empty one for at most `limit` messages."""
        self._packed = packed
        self._limit = limit
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
        return self._packed.batch.size_in_bytes

    @property
    def max_size(self) -> int:
        """Bytes that it takes, as the SDK counts them."""
        return self._packed.batch.max_size_in_bytes

    @property
    def max_messages(self) -> int:
        return self._limit

    @property
    def batch(self) -> ServiceBusMessageBatch:
        """As it is sent: nothing is added to it any more."""
        return self._packed.packed()

    def add_all(self, messages: list[Message]) -> list[Message]:
        """Adds them in order; returns those from the first on that does not fit any more."""
        added = self._packed.add_all(messages[: self._limit - len(self)])
        self.messages += messages[:added]
        return messages[added:]
