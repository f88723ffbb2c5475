"""What the processes of a run note for the checker: files that are only appended to.

A line is a kind and its fields, separated by tabs. Times are of the monotonic clock of the machine,
in seconds: one clock for all processes, which nobody shifts.

    attempt    transaction  job_id  stage  tasks      a producer has created it, not committed
    commit     transaction  time                      its commit has returned
    rollback   transaction                            it has been rolled back
    ended      message_id  job_id  stage  status  open_tasks  time
    work       task_id  execution  time  wall clock   a worker has begun a task
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

Line = Sequence[object]


class Ledger:
    """Appends; what was written survives the death of its process, not that of the machine."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def write(self, *lines: Line) -> None:
        rest = memoryview("".join("\t".join(map(str, line)) + "\n" for line in lines).encode())
        while rest:
            rest = rest[os.write(self._file, rest) :]


def read(paths: Iterable[Path]) -> Iterator[list[str]]:
    """The whole lines of the ledgers; one cut off by the death of its process is left out."""
    for path in paths:
        with path.open(encoding="utf-8", newline="\n") as file:
            for line in file:
                if line.endswith("\n"):
                    yield line.rstrip("\n").split("\t")
