"""A worker process of the demo: the reference worker, and a ledger of what it did.

python -m bridge.local.demo.worker DATABASE_URL CONNECTION_STRING LEDGER
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import JsonValue

from bridge import logs
from bridge.local.demo.work import run_tasks
from bridge.worker import StartedTask, Worker


async def main(database_url: str, connection_string: str, ledger_path: str) -> None:
    """Works until SIGTERM; writes the id of each task it works on to the ledger."""
    with Path(ledger_path).open("a", encoding="utf-8") as ledger:

        def handle(tasks: Sequence[StartedTask]) -> list[JsonValue]:
            results = run_tasks(tasks)
            ledger.write("".join(f"{task.task_id}\n" for task in tasks))
            ledger.flush()
            return results

        worker = Worker(database_url, connection_string, handle, name=Path(ledger_path).stem)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, worker.stop)
        await worker.run()


if __name__ == "__main__":
    logs.configure("info")
    asyncio.run(main(*sys.argv[1:]))
