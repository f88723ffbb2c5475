"""A worker process of a fault run: the reference worker, and a ledger of what it worked on.

python -m tests.faults.worker DATABASE_URL CONNECTION_STRING LEDGER
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import JsonValue

from bridge import logs
from bridge.local.demo.worker import work
from bridge.worker import StartedTask, Worker


def main(database_url: str, connection_string: str, ledger_path: str) -> None:
    """Writes the id of each task it works on to the ledger."""
    with Path(ledger_path).open("a", encoding="utf-8") as ledger:

        def handle(tasks: Sequence[StartedTask]) -> list[JsonValue]:
            ledger.write("".join(f"{task.task_id}\n" for task in tasks))
            ledger.flush()
            return [task.parameters["index"] for task in tasks]

        name = Path(ledger_path).stem
        asyncio.run(work(Worker(database_url, connection_string, handle, name=name)))


if __name__ == "__main__":
    logs.configure("info")
    main(*sys.argv[1:])
