"""Messages of provisional stages: a worker keeps their locks, and asks again when it is time."""

from __future__ import annotations

import time

from azure.servicebus import ServiceBusReceivedMessage

from bridge.task_calls import Asked

Messages = dict[Asked, list[ServiceBusReceivedMessage]]


class KeptMessages:
    """What one receiver holds beside its work; `most` messages, or a few more."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._messages: Messages = {}
        self._due = 0.0

    def __len__(self) -> int:
        return sum(map(len, self._messages.values()))

    @property
    def full(self) -> bool:
        """Whether no more should be received before something has become of these."""
        return len(self) >= self._most

    def keep(self, messages: Messages, seconds: float) -> None:
        """Adds some, to be asked about after `seconds` or with the others, if that is earlier."""
        due = time.monotonic() + seconds
        if messages:
            self._due = min(due, self._due) if self._messages else due
            for asked, repeats in messages.items():
                self._messages.setdefault(asked, []).extend(repeats)

    def seconds_left(self) -> float | None:
        """Until it is time to ask; None when there is nothing to ask about."""
        return max(0.0, self._due - time.monotonic()) if self._messages else None

    def due(self) -> Messages:
        """All of them, if it is time: they are kept no longer."""
        return self.take() if self.seconds_left() == 0 else {}

    def take(self) -> Messages:
        """All of them."""
        taken, self._messages = self._messages, {}
        return taken
