"""Noticing that who started this process is gone, by the end of standard input."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

_STDIN = 0


def watch_stdin(loop: asyncio.AbstractEventLoop, ended: Callable[[], None]) -> None:
    """Call `ended` once, when standard input has come to its end; what is written there is lost.

    A parent keeps the other end of a pipe open until it wants us to stop; the kernel closes it even
    if the parent is killed. Raises OSError or ValueError if standard input cannot be waited for,
    such as a file.
    """

    def readable() -> None:
        if not os.read(_STDIN, 4_096):
            loop.remove_reader(_STDIN)
            ended()

    loop.add_reader(_STDIN, readable)
