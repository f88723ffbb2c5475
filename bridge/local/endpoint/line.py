"""The receivers of one queue that may be ready, in the order of their turns."""

from __future__ import annotations

from collections import deque
from typing import Protocol


class Consumer(Protocol):
    """A receiver as a queue sees it."""

    locks: bool
    """Whether its messages are locked (peek-lock) rather than deleted as they go out."""
    waiting: bool
    """Kept by the line: whether the consumer stands in it."""

    def ready(self) -> bool:
        """Whether one more message can be sent now."""
        ...

    def deliver(self, token: bytes, data: bytes) -> None:
        """Send one message; the token is its delivery tag."""
        ...


class Line:
    """Each consumer gets one message at a time, then it is the next one's turn."""

    def __init__(self) -> None:
        self._consumers: deque[Consumer] = deque()

    def __len__(self) -> int:
        return len(self._consumers)

    def join(self, consumer: Consumer) -> None:
        """Let `consumer` stand at the end, unless it stands in the line already."""
        if not consumer.waiting:
            consumer.waiting = True
            self._consumers.append(consumer)

    def leave(self, consumer: Consumer) -> None:
        """Forget `consumer`."""
        if consumer.waiting:
            consumer.waiting = False
            self._consumers.remove(consumer)

    def next(self) -> Consumer | None:
        """Whose turn it is, among those that are ready; those that are not leave the line."""
        consumers = self._consumers
        while consumers:
            consumer = consumers[0]
            if consumer.ready():
                consumers.rotate(-1)
                return consumer
            consumer.waiting = False
            consumers.popleft()
        return None
