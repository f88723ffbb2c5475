"""A command on a terminal of its own: a pseudo-terminal, as people have it."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.eventually import PATIENCE

#: Where the commands are that are run so.
MODULES = {"cancel": "steer_commands", "watch": "watch_command"}


class Terminal:
    """What the command has printed so far, and what is typed."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process = process
        self._master = master
        self.text = ""

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def until(self, wanted: str) -> str:
        """All that was printed, once the wanted is in it."""
        give_up = time.monotonic() + PATIENCE
        while wanted not in self.text:
            assert time.monotonic() < give_up, self.text
            assert self._read(), self.text
        return self.text

    def end(self) -> int:
        """Reads to the end; the exit code."""
        while self._read():
            pass
        return self.process.wait(PATIENCE)

    def _read(self) -> bool:
        if not select.select([self._master], [], [], PATIENCE)[0]:
            return False
        # Linux answers with an error when nobody has the other side open any more.
        with contextlib.suppress(OSError):
            if part := os.read(self._master, 65536):
                self.text += part.decode()
                return True
        return False


@contextmanager
def on_terminal(database_url: str, command: str, *arguments: str) -> Iterator[Terminal]:
    """`stagebus COMMAND ARGUMENTS` with a terminal of 80 columns and 24 lines.

    The command alone: importing all of them takes three times as long.
    """
    program = f"from bridge.{MODULES[command]} import {command}; {command}()"
    master, slave = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        env={
            **os.environ,
            "STAGEBUS_DATABASE_URL": database_url,
            "TERM": "xterm",
            "COLUMNS": "80",
            "LINES": "24",
            "PYTHONIOENCODING": "utf-8",
        },
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        # Whoever runs the tests in the background may have it ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        os.close(slave)
        try:
            yield Terminal(process, master)
        finally:
            process.kill()
            os.close(master)
