"""Answers that are put off, for as long as the link they belong to lives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Timers:
    """Calls that are made later, and not at all once `cancel` was called."""

    def __init__(self) -> None:
        self._handles: set[asyncio.TimerHandle] = set()

    def __len__(self) -> int:
        return len(self._handles)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call after `seconds`, from the event loop."""

        def due() -> None:
            self._handles.discard(handle)
            call()

        handle = asyncio.get_running_loop().call_later(seconds, due)
        self._handles.add(handle)

    def cancel(self) -> None:
        """Make none of the calls that are still to come."""
        for handle in self._handles:
            handle.cancel()
        self._handles.clear()
