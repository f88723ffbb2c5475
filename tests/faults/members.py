"""The processes of a run: started, killed, stopped for a while, their clocks shifted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

#: Debian's package `faketime` has it. The time of day is asked through it, and then shifted.
_FAKETIME = "libfaketimeMT.so.1"

STOP_TIMEOUT = 30.0


def faketime_library() -> Path | None:
    """Where faketime is installed; None where it is not."""
    return next(Path("/usr/lib").glob(f"*/faketime/{_FAKETIME}"), None)


class Member:
    """One process after the other under one name, with one log and one ledger."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        folder: Path,
        environment: Mapping[str, str] | None = None,
        *,
        clock: bool = False,
    ) -> None:
        """clock: its clock can be shifted."""
        self.name = name
        self.log = folder / f"{name}.log"
        self.ledger = folder / f"{name}.ledger"
        self.busy = threading.Lock()
        """Held by the fault that befalls it."""
        self.died: list[int] = []
        """How processes ended that nobody had ended."""
        self._arguments = arguments
        self._environment = dict(environment or {})
        self._clock = folder / f"{name}.clock" if clock else None
        self._process: subprocess.Popen[bytes] | None = None
        if self._clock is not None:
            self.shift_clock(0)
            self._environment |= {
                "LD_PRELOAD": str(faketime_library()),
                "FAKETIME_TIMESTAMP_FILE": str(self._clock),
                # Looked at each second. What lasts how long is not shifted.
                "FAKETIME_CACHE_DURATION": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }

    @property
    def has_clock(self) -> bool:
        return self._clock is not None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *self._arguments],
                env={**os.environ, **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> int:
        """SIGKILL; returns how it ended."""
        assert self._process is not None
        self._process.kill()
        return self._process.wait()

    def stop_for(self, seconds: float) -> bool:
        """SIGSTOP, and SIGCONT after `seconds`; True if it did stand still."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            time.sleep(seconds)
            status = Path(f"/proc/{self._process.pid}/stat").read_text("utf-8")
        finally:
            self._process.send_signal(signal.SIGCONT)
        return status.rpartition(")")[2].split()[0] == "T"

    def shift_clock(self, seconds: int) -> None:
        """Its time of day, from now on, against that of the machine."""
        assert self._clock is not None
        made = self._clock.with_suffix(".new")
        made.write_text(f"{seconds:+d}\n", "utf-8")
        made.replace(self._clock)

    def keep_running(self) -> None:
        """Starts it again if it has ended without anybody having ended it."""
        if not self.busy.acquire(blocking=False):
            return
        try:
            if self._process is not None and self._process.poll() is not None:
                self.died.append(self._process.returncode)
                self.start()
        finally:
            self.busy.release()

    def stop(self) -> int | None:
        """SIGTERM, and then SIGKILL; returns how it ended."""
        if self._process is None:
            return None
        process, self._process = self._process, None
        process.terminate()
        try:
            return process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()
