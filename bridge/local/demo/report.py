"""What the demo's figures are counted from: the database, the endpoint's journal, the ledgers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from bridge.local.demo.processes import Processes
from bridge.local.stack import LocalStack


@dataclass(frozen=True)
class Report:
    """The figures of `build/demo.json`."""

    tasks: int
    """Tasks in the database."""
    accepted: int
    """Messages that the endpoint accepted, duplicates that it then dropped included."""
    completed: int
    """Tasks that the database has as completed."""
    lost: int
    """Tasks of which the endpoint stored no message for one of their attempts, or that did not
    complete."""
    duplicates: int
    """Messages that the endpoint stored of attempts that it had stored one of before."""
    duplicates_dropped: int
    """Repeated messages that its duplicate detection dropped."""
    done_twice: int
    """Tasks that the workers' own ledgers name more than once, but for those that a worker had in
    hand when it was killed."""
    attempts: int
    """Attempts at all tasks: as many as tasks when none failed and no worker died."""
    workers_killed: int
    retried: int
    """Failed tasks that an operator ordered another attempt for."""
    stages_completed: int
    result_matches: bool
    seconds: dict[str, float]
    """By phase, and in total."""

    @property
    def good(self) -> bool:
        return (
            self.result_matches
            and self.stages_completed == 2
            and not (self.lost or self.duplicates or self.done_twice)
        )

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def count(
    stack: LocalStack,
    processes: Processes,
    job_id: UUID,
    journal: Path,
    *,
    in_hand: Set[str],
    workers_killed: int,
    result_matches: bool,
    seconds: dict[str, float],
) -> Report:
    """Counts everything anew; nothing here is what the demo believes.

    in_hand: ids of the tasks that killed workers were at, and may have been done again.
    """
    with psycopg.connect(stack.database_url) as connection:
        tasks = {
            str(row[0]): (str(row[1]), int(row[2]))
            for row in connection.execute(
                "select task_id, status, attempt from stagebus.tasks where job_id = %s", (job_id,)
            )
        }
        retried = connection.execute(
            "select coalesce(sum(tasks_done), 0) from stagebus.orders"
            " where job_id = %s and action = 'retry_tasks'",
            (job_id,),
        ).fetchone()
        stages = connection.execute(
            "select count(*) from stagebus.stages where job_id = %s and status = 'completed'",
            (job_id,),
        ).fetchone()
    # A line of the journal: entity, sequence number (0: dropped as a repeat), message id (task,
    # attempt, dispatch, nonce).
    stored = Counter(
        tuple(line.split("\t")[2].split(".")[:2])
        for line in journal.read_text("utf-8").splitlines()
        if line.startswith("tasks\t") and not line.startswith("tasks\t0\t")
    )
    worked = Counter(
        line for ledger in processes.ledgers for line in ledger.read_text("utf-8").splitlines()
    )
    counts = stack.endpoint.counts()["entities"]["tasks"]
    completed = sum(status == "completed" for status, _ in tasks.values())
    return Report(
        tasks=len(tasks),
        accepted=counts["received"],
        completed=completed,
        lost=sum(
            status != "completed"
            or any((task_id, str(attempt)) not in stored for attempt in range(1, last + 1))
            for task_id, (status, last) in tasks.items()
        ),
        duplicates=sum(times - 1 for times in stored.values()),
        duplicates_dropped=counts["duplicates_dropped"],
        done_twice=sum(times > 1 and task_id not in in_hand for task_id, times in worked.items()),
        attempts=sum(last for _, last in tasks.values()),
        workers_killed=workers_killed,
        retried=0 if retried is None else int(retried[0]),
        stages_completed=0 if stages is None else int(stages[0]),
        result_matches=result_matches,
        seconds=seconds,
    )
