"""A worker that starts its tasks, says so in a file, and never finishes: to be killed.

python -m tests.bridge.blocked_worker DATABASE_URL CONNECTION_STRING QUEUE FILE
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from pydantic import JsonValue

from bridge.worker import StartedTask, Worker


def main(database_url: str, connection_string: str, queue: str, file: str) -> None:
    """Never returns."""

    def handle(tasks: Sequence[StartedTask]) -> list[JsonValue]:
        Path(file).write_text("".join(f"{task.task_id}\n" for task in tasks), "utf-8")
        while True:
            time.sleep(60)

    asyncio.run(Worker(database_url, connection_string, handle, queue=queue).run())


if __name__ == "__main__":
    main(*sys.argv[1:])
