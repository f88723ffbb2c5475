"""Which message ids have arrived within the window of duplicate detection.

An id is kept once, in a set; the ids of one send share one entry in the line of what to forget.
A repeat does not extend the window.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence


class DuplicateWindow:
    """Remembers message ids for `window` seconds after their first arrival; 0 or None: never."""

    def __init__(self, window: float | None) -> None:
        self._window = window or 0.0
        self._known: set[bytes] = set()
        self._to_forget: deque[tuple[float, Sequence[bytes]]] = deque()

    def __len__(self) -> int:
        return len(self._known)

    def unseen(self, ids: Sequence[bytes | None], now: float) -> Sequence[int] | None:
        """Which positions of `ids` are no duplicates; None means all of them.

        A message without an id, or with an empty one, is never a duplicate. Nothing is
        remembered yet.
        """
        if not self._window:
            return None
        self.forget(now)
        distinct = set(ids)
        if len(distinct) == len(ids) and self._known.isdisjoint(distinct):
            return None
        seen: set[bytes] = set()
        fresh = []
        for position, message_id in enumerate(ids):
            if message_id:
                if message_id in self._known or message_id in seen:
                    continue
                seen.add(message_id)
            fresh.append(position)
        return fresh

    def remember(self, ids: Sequence[bytes | None], now: float) -> None:
        """Keep `ids`, all of them unseen, until the window has passed."""
        if not self._window:
            return
        named = [message_id for message_id in ids if message_id]
        if named:
            self._known.update(named)
            self._to_forget.append((now + self._window, named))

    def forget(self, now: float) -> None:
        """Drop the ids whose window has passed."""
        while self._to_forget and self._to_forget[0][0] <= now:
            self._known.difference_update(self._to_forget.popleft()[1])
