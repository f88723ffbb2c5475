"""Several bridges, each a process of its own, and their parent, which only watches over them.

They are told to drain by the end of a pipe, their standard input, and by no signal: so it also
tells them that the parent was killed, waits for one that is still being imported, and is no second
signal for one that Ctrl-C, or a SIGTERM of systemd to the whole control group, has reached as well.

When one of them ends, for whatever reason, the others drain, and the parent ends: with 0 only if
all did. It starts none again. Who starts the command again, as it must a single bridge, also waits
between two tries, counts them and raises the alarm; a bridge that crashes again and again would be
hidden from it here. What the one had claimed waits for its lease in any case.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import Process
from collections.abc import Mapping
from dataclasses import asdict

from bridge.logs import EventLog
from bridge.relay import Relay
from bridge.settings import Settings

log = EventLog("stagebus.processes")

#: What a bridge is told that is to stop with its parent.
UNTIL_STDIN_CLOSES = "--until-stdin-closes"


class Processes:
    """So many bridges with the same settings, from the first start to the last exit."""

    def __init__(self, settings: Settings, count: int, log_level: str) -> None:
        self._count = count
        self._environment = _environment(settings, log_level)
        #: It claims nothing: it waits for the database as one bridge does, so that what is wrong
        #: with that, or with the settings, is said once.
        self._first_look = Relay(settings)
        self._children: list[Process] = []
        self._told, self._telling = os.pipe()
        self._stopped = False

    def stop(self) -> None:
        """Begins to drain all of them. To be called in the event loop of `run`."""
        if self._stopped:
            return
        self._stopped = True
        os.close(self._telling)
        if not self._children:
            self._first_look.stop()

    def kill(self) -> None:
        """Ends all of them, and this process, at once: nothing is waited for."""
        for child in self._children:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
        os._exit(1)

    async def run(self) -> bool:
        """True when all have ended with 0, after `stop` or since one of them was told to stop.

        Raises what one bridge raises when it looks at its database first.
        """
        try:
            found = await self._first_look.wait_for_database()
        finally:
            await self._first_look.close()
        if not found:
            return True
        codes = await asyncio.gather(*(self._run_one() for _ in range(self._count)))
        return not any(codes)

    async def _run_one(self) -> int:
        try:
            child = await asyncio.create_subprocess_exec(
                *_command(), stdin=self._told, env=self._environment
            )
        except OSError as error:
            log.error("process.not_started", error=str(error))
            self.stop()
            return 1
        self._children.append(child)
        code = await child.wait()
        if code != 0:
            # Below 0 it is the number of the signal that has killed it.
            log.error("process.ended", pid=child.pid, exit_code=code)
        self.stop()
        return code


def _command() -> list[str]:
    """As this process was started, by a script or by `-m`, but for its own arguments."""
    started = sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv) + 1]
    return [sys.executable, *started, "bridge", UNTIL_STDIN_CLOSES]


def _environment(settings: Settings, log_level: str) -> Mapping[str, str]:
    """Ours, and in it the settings, wherever they came from: anyone may read a command line."""
    told: dict[str, object] = {**asdict(settings), "log_level": log_level, "processes": 1}
    variables = {f"STAGEBUS_{name.upper()}": value for name, value in told.items()}
    return {
        **{name: value for name, value in os.environ.items() if name not in variables},
        **{name: str(value) for name, value in variables.items() if value is not None},
    }
