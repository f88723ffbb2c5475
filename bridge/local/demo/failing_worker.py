"""A worker process that fails one attempt in ten at a place, and takes its time.

python -m bridge.local.demo.failing_worker DATABASE_URL CONNECTION_STRING LEDGER
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Sequence

from bridge import logs
from bridge.local.demo.work import run_tasks
from bridge.local.demo.worker import main
from bridge.task_calls import TaskFailed
from bridge.worker import Outcome, StartedTask

#: How many of the attempts at a place fail.
FAILING = 0.1

#: Seconds for the tasks received together: long enough for a worker to be caught at work.
EFFORT = 0.2


def try_tasks(tasks: Sequence[StartedTask]) -> list[Outcome]:
    """The demo's work, of which some attempts fail at random, whatever the task."""
    time.sleep(EFFORT)
    chance = random.Random()  # noqa: S311
    return [
        TaskFailed("the map was not at hand")
        if task.task_type == "h3_hexagon" and chance.random() < FAILING
        else result
        for task, result in zip(tasks, run_tasks(tasks), strict=True)
    ]


if __name__ == "__main__":
    logs.configure("info")
    main(*sys.argv[1:], work_on=try_tasks)
