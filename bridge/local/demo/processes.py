"""The demo's processes: a bridge and workers, each with a log, ended when the demo ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from bridge.local.stack import LocalStack

STOP_TIMEOUT = 30.0


@dataclass
class Processes:
    """Starts, kills and stops; also a context manager that leaves none behind."""

    stack: LocalStack
    folder: Path
    """Where logs and ledgers go."""
    worker: str = "bridge.local.demo.worker"
    """The module that is run as a worker: DATABASE_URL CONNECTION_STRING LEDGER."""
    lease: int = 6
    send_deadline: int = 4
    """Both in seconds, and short, so that what a killed bridge held is soon free."""
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def ledgers(self) -> list[Path]:
        return sorted(self.folder.glob("worker-*.ledger"))

    def start_bridge(self, name: str = "bridge") -> subprocess.Popen[bytes]:
        """A bridge; `name` is that of its log."""
        return self._start(
            name,
            [
                *("-m", "bridge", "bridge"),
                *("--lease", str(self.lease), "--send-deadline", str(self.send_deadline)),
            ],
            {
                "STAGEBUS_DATABASE_URL": self.stack.database_url_for("demo_bridge"),
                "STAGEBUS_SERVICEBUS_CONNECTION_STRING": self.stack.connection_string,
            },
        )

    def start_worker(self, number: int) -> subprocess.Popen[bytes]:
        name = f"worker-{number}"
        return self._start(
            name,
            [
                *("-m", self.worker),
                self.stack.database_url_for("demo_worker"),
                self.stack.connection_string,
                str(self.folder / f"{name}.ledger"),
            ],
            {},
        )

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """SIGKILL: no chance to say good-bye."""
        process.kill()
        process.wait()
        self._running.remove(process)

    def check(self) -> None:
        """Raises RuntimeError if one of them has ended by itself."""
        for process in self._running:
            if process.poll() is not None:
                raise RuntimeError(
                    f"process {process.pid} of the demo ended with {process.returncode};"
                    f" the logs are in {self.folder}"
                )

    def stop(self) -> None:
        for process in self._running:
            process.send_signal(signal.SIGTERM)
        for process in self._running:
            try:
                process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()

    def _start(
        self, name: str, arguments: list[str], environment: dict[str, str]
    ) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._running.append(process)
        return process
