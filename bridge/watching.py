"""A job from look to look: what has ended of it, how fast, and when it all will have."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from uuid import UUID

from psycopg import Connection
from psycopg.rows import DictRow

from bridge.console import ENDS
from bridge.errors import NotFound
from bridge.looking import repeatedly
from bridge.printing import Rows

#: Seconds for which looks are remembered.
MINUTE = 60.0

#: Seconds of looks from which a rate can be told; before, the average since the stage was sealed.
ENOUGH = 3.0


@dataclass(frozen=True)
class Look:
    """How a job stood at one moment."""

    at: float
    """On the monotonic clock, in seconds."""
    job_id: UUID
    job_type: str
    status: str
    age: timedelta
    """Since it was created, until it ended."""
    stages: Rows
    """Rows of the view job_progress, in order."""
    coming: Rows = field(default_factory=list)
    """What has not begun of the job's plan, in order: name, waits_for, and status, which is waits
    or cannot be made."""


def looks(
    database_url: str,
    job_id: UUID,
    every: float,
    timeout: float | None,
    away: Callable[[str], None],
) -> Iterator[Look]:
    """A look every so many seconds, and at once when a stage or the job ends; then no more.

    Or, when `timeout` seconds have passed, of the job as it is then. `away` is told each time that
    the database is. Raises NotFound for a job that does not exist.
    """

    def look_at_job(connection: Connection[DictRow]) -> Look:
        return _look(connection, job_id)

    for look in repeatedly(
        database_url, "watch", job_id, look_at_job, every=every, timeout=timeout, away=away
    ):
        yield look
        if look.status in ENDS:
            return


def _look(connection: Connection[DictRow], job_id: UUID) -> Look:
    job = connection.execute(
        "select job_id, job_type, status,"
        " coalesce(ended_at, stagebus.clock()) - created_at as age"
        " from stagebus.jobs where job_id = %s",
        (job_id,),
    ).fetchone()
    if job is None:
        raise NotFound(f"there is no job {job_id}")
    # After the job: of one that has ended, all stages have.
    stages = connection.execute(
        "select * from stagebus.job_progress where job_id = %s order by stage", (job_id,)
    ).fetchall()
    coming = connection.execute(
        "select name, waits_for, status from stagebus.plan_progress"
        " where job_id = %s and status in ('waits', 'cannot be made') order by stage",
        (job_id,),
    ).fetchall()
    return Look(time.monotonic(), **job, stages=stages, coming=coming)


def ended_tasks(stage: DictRow) -> int:
    """How many tasks of a row of job_progress are over, whatever became of them."""
    return int(stage["completed"] + stage["failed"] + stage["cancelled"])


@dataclass
class Past:
    """The tasks that had ended at each look of the last minute, by stage."""

    samples: deque[tuple[float, dict[int, int]]] = field(default_factory=deque)

    def add(self, look: Look) -> None:
        """Keeps the look, and the last one from before the minute."""
        self.samples.append((look.at, {row["stage"]: ended_tasks(row) for row in look.stages}))
        while len(self.samples) > 2 and self.samples[1][0] <= look.at - MINUTE:
            self.samples.popleft()

    def rate(self, stage: DictRow) -> float | None:
        """Tasks of a stage that ended per second lately; None when that cannot be told yet."""
        number = stage["stage"]
        known = [(at, ended[number]) for at, ended in self.samples if number in ended]
        since, first = known[0]
        now, last = known[-1]
        if now - since < ENOUGH:
            return None if stage["rate"] is None else float(stage["rate"])
        # A retry takes ended tasks back.
        return max(0, last - first) / (now - since)

    def seconds_left(self, stage: DictRow) -> float | None:
        """How long the rest of a stage takes at that rate; None when nobody knows."""
        rate = self.rate(stage)
        open_tasks = int(stage["tasks"]) - ended_tasks(stage)
        return open_tasks / rate if rate and open_tasks > 0 else None

    def rates(self, buckets: int) -> list[float]:
        """Tasks that ended per second, in so many parts of the last minute, the oldest first."""
        now = self.samples[-1][0]
        edges = [now - MINUTE + MINUTE * n / buckets for n in range(buckets + 1)]
        counts = [self._total(at) for at in edges]
        return [max(0.0, after - before) * buckets / MINUTE for before, after in pairwise(counts)]

    def _total(self, at: float) -> float:
        """What had ended at a moment: between two looks, as if it had been even."""
        before = self.samples[0]
        for sample in self.samples:
            if sample[0] > at:
                then, now = sum(before[1].values()), sum(sample[1].values())
                span = sample[0] - before[0]
                return then + (now - then) * max(0.0, at - before[0]) / span if span else then
            before = sample
        return sum(before[1].values())
