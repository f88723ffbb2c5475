"""A worker process of the demo: the reference worker, and a ledger of what it did.

python -m bridge.local.demo.worker DATABASE_URL CONNECTION_STRING LEDGER
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from bridge import logs
from bridge.local.demo.work import run_tasks
from bridge.task_calls import TaskFailed
from bridge.worker import Handler, Outcome, StartedTask, Worker


async def work(worker: Worker) -> None:
    """Works until SIGTERM."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.stop)
    await worker.run()


def main(
    database_url: str, connection_string: str, ledger_path: str, *, work_on: Handler = run_tasks
) -> None:
    """Writes the id of each task that it has a result of to the ledger."""
    with Path(ledger_path).open("a", encoding="utf-8") as ledger:

        def handle(tasks: Sequence[StartedTask]) -> Sequence[Outcome]:
            outcomes = work_on(tasks)
            ledger.writelines(
                f"{task.task_id}\n"
                for task, outcome in zip(tasks, outcomes, strict=True)
                if not isinstance(outcome, TaskFailed)
            )
            ledger.flush()
            return outcomes

        name = Path(ledger_path).stem
        asyncio.run(work(Worker(database_url, connection_string, handle, name=name)))


if __name__ == "__main__":
    logs.configure("info")
    main(*sys.argv[1:])
