"""What a run left behind: the ledgers of its processes, the endpoint's journal, the database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import psycopg

from bridge.local.postgres import LocalPostgres
from tests.faults.ledger import read

StageKey = tuple[str, int]
"""job_id, stage."""


@dataclass
class Transaction:
    """What a producer or the controller had created in it, and how it ended."""

    stages: dict[StageKey, int] = field(default_factory=dict)
    """Tasks by stage."""
    outcome: str = "unknown"
    """commit, rollback, or unknown: it died, or its commit was not answered."""
    at: float | None = None
    """When its commit had returned."""


@dataclass(frozen=True)
class Announcement:
    """What the controller read: that a stage (0: the job) has ended."""

    message_id: str
    job_id: str
    stage: int
    status: str
    open_tasks: int
    """Tasks of the stage that had not ended, as the database said at that moment."""
    at: float


@dataclass(frozen=True)
class Taken:
    """A message that the broker took: it is stored, or dropped as a repeat."""

    entity: str
    stored: bool
    message_id: str
    at: float


@dataclass(frozen=True)
class Unknown:
    """A range of the bridges' ledger of which nobody knows whether it arrived."""

    job_id: str
    stage: int
    batch_id: str
    dispatch: int
    first_index: int
    last_index: int


@dataclass
class Database:
    """What the database says once everything has stopped."""

    stages: dict[StageKey, str] = field(default_factory=dict)
    """Statuses."""
    jobs: dict[str, str] = field(default_factory=dict)
    tasks: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    """Status and result by task id."""
    unknown: list[Unknown] = field(default_factory=list)
    sends: dict[str, int] = field(default_factory=dict)
    """By outcome."""
    leases: int = 0
    miscounted: int = 0
    """Counters that the rows do not bear out."""


@dataclass
class Evidence:
    """All of it."""

    transactions: dict[str, Transaction] = field(default_factory=dict)
    announcements: list[Announcement] = field(default_factory=list)
    executions: dict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    """By task id: when each execution of it began."""
    taken: list[Taken] = field(default_factory=list)
    database: Database = field(default_factory=Database)
    deadlocks: int = 0


def gather(
    ledgers: Iterable[Path],
    journal: Path,
    journal_grew: Sequence[tuple[float, int]],
    postgres: LocalPostgres,
) -> Evidence:
    """journal_grew: its size in bytes at some times, in order; nothing else dates its lines."""
    evidence = read_ledgers(ledgers)
    evidence.taken = read_journal(journal, journal_grew)
    evidence.database = read_database(postgres.url())
    evidence.deadlocks = postgres.log.read_text("utf-8", "replace").count("deadlock detected")
    return evidence


def read_ledgers(ledgers: Iterable[Path]) -> Evidence:
    """As far as the processes of the run wrote it."""
    evidence = Evidence()
    transactions: dict[str, Transaction] = defaultdict(Transaction)
    for kind, *fields in read(ledgers):
        if kind == "work":
            task_id, execution, at, _ = fields
            evidence.executions[task_id][execution] = float(at)
        elif kind == "attempt":
            transaction, job_id, stage, tasks = fields
            transactions[transaction].stages[job_id, int(stage)] = int(tasks)
        elif kind == "commit":
            transactions[fields[0]].outcome = "commit"
            transactions[fields[0]].at = float(fields[1])
        elif kind == "rollback":
            transactions[fields[0]].outcome = "rollback"
        elif kind == "ended":
            message_id, job_id, stage, status, open_tasks, at = fields
            evidence.announcements.append(
                Announcement(message_id, job_id, int(stage), status, int(open_tasks), float(at))
            )
        else:
            raise ValueError(f"a line of kind {kind!r}")
    evidence.transactions = dict(transactions)
    return evidence


def read_journal(journal: Path, grew: Sequence[tuple[float, int]]) -> list[Taken]:
    """Each line with the first time at which the journal was known to be that long."""
    taken = []
    end = at = 0.0
    times = iter([*grew, (grew[-1][0] if grew else 0.0, float("inf"))])
    size = -1.0
    with journal.open("rb") as file:
        for line in file:
            end += len(line)
            while size < end:
                at, size = next(times)
            entity, number, message_id = line.decode("utf-8").rstrip("\n").split("\t")
            taken.append(Taken(entity, number != "0", message_id, at))
    return taken


_TASKS = "copy (select task_id, status, result #>> '{}' from stagebus.tasks) to stdout"

_UNKNOWN = """
select s.job_id::text, s.stage, s.batch_id::text, s.dispatch, s.first_index, s.last_index
from stagebus.sends as s
where s.outcome = 'unknown'
"""

_MISCOUNTED = """
select count(*)
from stagebus.stages as s
cross join lateral stagebus.recount_stage(s.job_id, s.stage)
"""

_SENDS = "select outcome, count(*) from stagebus.sends group by outcome"
_LEASES = "select count(*) from stagebus_data.batches where lease_until is not null"


def read_database(url: str) -> Database:
    with psycopg.connect(url) as connection, connection.cursor() as cursor:

        def pairs(query: str) -> Mapping[object, object]:
            return dict(cursor.execute(query).fetchall())

        found = Database()
        with cursor.copy(_TASKS) as rows:
            rows.set_types(["text"] * 3)
            found.tasks = {task_id: (status, result) for task_id, status, result in rows.rows()}
        for job_id, stage, status in cursor.execute(
            "select job_id, stage, status from stagebus.stages"
        ).fetchall():
            found.stages[str(job_id), int(stage)] = str(status)
        found.jobs = {
            str(job_id): str(status)
            for job_id, status in pairs("select job_id, status from stagebus.jobs").items()
        }
        found.unknown = [Unknown(*row) for row in cursor.execute(_UNKNOWN).fetchall()]
        found.sends = {str(key): int(str(value)) for key, value in pairs(_SENDS).items()}
        (found.leases,) = cursor.execute(_LEASES).fetchone() or (0,)
        (found.miscounted,) = cursor.execute(_MISCOUNTED).fetchone() or (0,)
    return found


def task_ids(key: StageKey, tasks: int) -> Iterable[str]:
    """As the design derives them."""
    job_id, stage = UUID(key[0]), key[1]
    return (f"{job_id}-s{stage}-{index}" for index in range(1, tasks + 1))
