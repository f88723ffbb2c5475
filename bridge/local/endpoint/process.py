"""Running an endpoint as a process of its own, for as long as a `with` block lasts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from select import select
from tempfile import TemporaryFile
from typing import IO, TypeAlias, cast

from bridge.local.endpoint.faults.remote import RemoteFaults, ask

Counts: TypeAlias = dict[str, dict[str, dict[str, int]]]

_PROJECT = Path(__file__).resolve().parents[3]
_STOP_SECONDS = 10.0


class NotReady(RuntimeError):
    """An endpoint that did not start, with the reasons it gave."""


@dataclass(frozen=True, slots=True)
class RunningEndpoint:
    """A process that is ready; the strings are those of its first line."""

    connection_string: str
    control_url: str
    pid: int

    def get(self, path: str) -> object:
        """The JSON at `path` of its HTTP port. Raises OSError if it does not answer."""
        return ask(self.control_url + path)

    @property
    def faults(self) -> RemoteFaults:
        """Its scripted faults."""
        return RemoteFaults(self.control_url)

    def cut_connections(self) -> int:
        """Cut every connection now; returns how many they were."""
        answer = ask(self.control_url + "/connections/cut", "POST", {})
        return cast(dict[str, int], answer)["cut"]

    def counts(self) -> Counts:
        """What `Endpoint.counts` returns there."""
        return cast(Counts, self.get("/counts"))


@contextmanager
def run_endpoint(
    queues: Sequence[str] = ("tasks", "jobs"),
    *,
    arguments: Sequence[str] = (),
    ready_within: float = 20.0,
) -> Iterator[RunningEndpoint]:
    """Start an endpoint with `queues` and further command-line `arguments`; stop it at the end.

    It also ends when this process does, even by SIGKILL, unless a fork of this process lives on.

    Raises NotReady, with what it wrote to its standard error, if it is not ready within
    `ready_within` seconds.
    """
    command = [sys.executable, "-m", "bridge.local.endpoint", "--until-stdin-closes"]
    for queue in queues:
        command += ["--queue", queue]
    # A file and not a pipe: nobody reads it, and a full pipe would stop the process.
    with TemporaryFile() as said:
        process = subprocess.Popen(
            [*command, *arguments],
            cwd=_PROJECT,
            # Nothing is written to it; it is closed when this process is gone, however it went.
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
        )
        with process:
            try:
                yield _wait_until_ready(process, said, ready_within)
            finally:
                _stop(process)


def _wait_until_ready(
    process: subprocess.Popen[bytes], said: IO[bytes], seconds: float
) -> RunningEndpoint:
    assert process.stdout is not None
    readable, _, _ = select([process.stdout], [], [], seconds)
    line = process.stdout.readline() if readable else b""
    if not line:
        _stop(process)
        said.seek(0)
        why = said.read().decode(errors="replace").strip()
        raise NotReady(f"the endpoint did not become ready: {why or 'it said nothing'}")
    return RunningEndpoint(**json.loads(line))


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
