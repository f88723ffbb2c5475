"""What a fault run proved, counted anew from database, endpoint and ledgers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psycopg

ENDED = ("completed", "failed", "cancelled")

_FIGURES = """
select
    (select count(*) from stagebus_data.stages where ended_at is not null),
    (select count(*) from stagebus_data.batches where lease_until is not null),
    (select count(*) from stagebus_data.batches where state = 'failed'),
    (select coalesce(sum(messages), 0) from stagebus_data.sends where outcome = 'unknown'),
    (select coalesce(sum(messages), 0) from stagebus_data.sends where outcome = 'accepted')
"""

_OUTCOMES = "select outcome, count(*) from stagebus_data.sends group by outcome"

_TASKS = """
copy (
    select t.task_id, t.status, t.attempt, b.status
    from stagebus.tasks as t
    join stagebus.batches as b on b.job_id = t.job_id and b.batch_id = t.batch_id
) to stdout
"""


@dataclass(frozen=True)
class Verdict:
    """The figures of one run; `good` when the promises held."""

    tasks: int
    completed: int
    waiting: int
    """Tasks not on the broker, whose batch says so: it is failed, or still to be published."""
    lost: int
    """Tasks whose batch says that they are on the broker, which never stored them."""
    stuck: int
    """Tasks that the broker stored and that did not end."""
    phantoms: int
    """Messages of tasks that do not exist."""
    duplicates_stored: int
    """Messages stored of an attempt at a task of which one was stored before."""
    duplicates_dropped: int
    """Repeated messages that the broker's duplicate detection dropped."""
    duplicates_unexplained: int
    """Of those, how many more than the ledger has messages with an unknown outcome."""
    done_twice: int
    """Tasks that workers began more often than the database has attempts."""
    repeated: int
    """Tasks that needed more than one attempt."""
    stages: int
    stages_ended: int
    leases_left: int
    """Batches still under a lease after all bridges have stopped."""
    batches_failed: int
    sends: Mapping[str, int] = field(default_factory=dict)
    """By outcome."""
    faults: Mapping[str, int] = field(default_factory=dict)
    """How often each kind of fault was done."""

    @property
    def good(self) -> bool:
        """Whether everything was completed once, or visibly waits."""
        return self.completed + self.waiting == self.tasks and not (
            self.lost
            or self.stuck
            or self.phantoms
            or self.duplicates_stored
            or self.duplicates_unexplained
            or self.done_twice
            or self.leases_left
            or (not self.waiting and self.stages_ended != self.stages)
        )

    def as_json(self) -> dict[str, Any]:
        return {"good": self.good, **asdict(self)}


def count(
    database_url: str,
    journal: Path,
    ledgers: Iterable[Path],
    *,
    stages: int,
    duplicates_dropped: int,
    faults: Mapping[str, int],
) -> Verdict:
    """Counts once everything has stopped but the database."""
    with psycopg.connect(database_url) as connection, connection.cursor() as cursor:
        with cursor.copy(_TASKS) as rows:
            tasks = {row[0]: row[1:] for row in _read(rows)}
        ended, leases, failed, unknown, _ = cursor.execute(_FIGURES).fetchone() or (0,) * 5
        sends = dict(cursor.execute(_OUTCOMES).fetchall())
    # A line of the journal: entity, sequence number, message id. An id: task, attempt, …
    stored: Counter[str] = Counter()
    attempts: Counter[tuple[str, str]] = Counter()
    for line in journal.read_text("utf-8").splitlines():
        task_id, attempt, *_ = line.split("\t")[2].split(".")
        stored[task_id] += 1
        attempts[task_id, attempt] += 1
    begun = Counter(line for path in ledgers for line in path.read_text("utf-8").splitlines())
    tally: Counter[str] = Counter()
    for task_id, (status, attempt, batch_status) in tasks.items():
        tally["completed"] += status == "completed"
        tally["repeated"] += int(attempt) > 1
        tally["done_twice"] += begun[task_id] > int(attempt)
        if status not in ENDED:
            visibly = batch_status in ("failed", "pending_queue") and not stored[task_id]
            where = "waiting" if visibly else "stuck" if stored[task_id] else "lost"
            tally[where] += 1
    return Verdict(
        tasks=len(tasks),
        completed=tally["completed"],
        waiting=tally["waiting"],
        lost=tally["lost"],
        stuck=tally["stuck"],
        phantoms=sum(times for task_id, times in stored.items() if task_id not in tasks),
        duplicates_stored=sum(times - 1 for times in attempts.values()),
        duplicates_dropped=duplicates_dropped,
        duplicates_unexplained=max(0, duplicates_dropped - int(unknown)),
        done_twice=tally["done_twice"],
        repeated=tally["repeated"],
        stages=stages,
        stages_ended=int(ended),
        leases_left=int(leases),
        batches_failed=int(failed),
        sends=sends,
        faults=faults,
    )


def _read(rows: psycopg.Copy) -> Iterable[tuple[str, ...]]:
    rows.set_types(["text"] * 4)
    for row in rows.rows():
        yield tuple(str(value) for value in row)
