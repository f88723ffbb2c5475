"""Waiting for something to become true, with a deadline instead of a guess."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

#: Seconds that something may take which takes a fraction of one on an idle machine.
PATIENCE = 45.0
LOOK_EVERY = 0.02


def eventually(condition: Callable[[], T], within: float = PATIENCE) -> T:
    """What the condition returns once it is true; an assertion fails after `within` seconds."""
    give_up = time.monotonic() + within
    while not (found := condition()):
        assert time.monotonic() < give_up, f"it did not come true within {within:g} s"
        time.sleep(LOOK_EVERY)
    return found


async def becomes(condition: Callable[[], T], within: float = PATIENCE) -> T:
    """`eventually` for a test that runs in the event loop."""
    give_up = time.monotonic() + within
    while not (found := condition()):
        assert time.monotonic() < give_up, f"it did not come true within {within:g} s"
        await asyncio.sleep(LOOK_EVERY)
    return found
