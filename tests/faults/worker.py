"""A worker process of a run: the reference worker, and a ledger of what it worked on.

python -m tests.faults.worker DATABASE_URL CONNECTION_STRING LEDGER

The result of a task is the id of the execution that made it, so that the checker can tell whether
what the database keeps was really done, and by whom.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from bridge import logs
from bridge.local.demo.worker import work
from bridge.task_calls import TaskFailed
from bridge.worker import Outcome, StartedTask, Worker
from tests.faults.ledger import Ledger

#: The share of executions that fail and are tried again.
FAILS = 0.002


def main(database_url: str, connection_string: str, ledger_path: str) -> None:
    ledger = Ledger(Path(ledger_path))

    def handle(tasks: Sequence[StartedTask]) -> list[Outcome]:
        executions = [str(uuid4()) for _ in tasks]
        at, wall_clock = time.monotonic(), time.time()
        ledger.write(
            *(
                ("work", task.task_id, execution, at, wall_clock)
                for task, execution in zip(tasks, executions, strict=True)
            )
        )
        return [
            TaskFailed("by chance") if random.random() < FAILS else execution
            for execution in executions
        ]

    name = Path(ledger_path).stem
    asyncio.run(work(Worker(database_url, connection_string, handle, name=name)))


if __name__ == "__main__":
    logs.configure("info")
    main(*sys.argv[1:])
