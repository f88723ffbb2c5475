"""What the command line asks of the database: how a job stands, why, and what threatens it all."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import IntEnum
from typing import LiteralString, Protocol
from uuid import UUID

import psycopg
from psycopg import Connection
from psycopg.rows import DictRow, dict_row

from bridge.errors import NotFound
from bridge.looking import repeatedly
from bridge.printing import Rows
from bridge.replay import code_digest

#: Seconds between two looks at a job, should its notification be missed.
LOOK = 1.0


class Health(IntEnum):
    """What `stagebus doctor` exits with; 1 is any error, 2 a wrong call."""

    OK = 0
    """Nothing, or no more than a notice."""
    WARNING = 3
    CRITICAL = 4


class ExitCode(IntEnum):
    """What `stagebus wait` exits with; 1 is any error, 2 a wrong call."""

    COMPLETED = 0
    COMPLETED_WITH_ERRORS = 3
    FAILED = 4
    """Failed or cancelled."""
    TIMED_OUT = 5


ENDS = {
    "completed": ExitCode.COMPLETED,
    "completed_with_errors": ExitCode.COMPLETED_WITH_ERRORS,
    "failed": ExitCode.FAILED,
    "cancelled": ExitCode.FAILED,
}

HEALTH = {
    "ok": Health.OK,
    "notice": Health.OK,
    "warning": Health.WARNING,
    "critical": Health.CRITICAL,
}


class Seen(Protocol):
    """What was seen of a queue."""

    message_ids: list[str]
    dead_letter_ids: list[str]
    whole: bool


def jobs_status(database_url: str) -> Rows:
    """The stages of all jobs that have not ended, oldest job first."""
    return _query(
        database_url,
        "select * from stagebus.job_progress"
        " where job_status in ('created', 'running') order by job_id, stage",
    )


def job_status(database_url: str, job_id: UUID, stage: int | None = None) -> Rows:
    """A row per stage of the job, or the one of `stage`; raises NotFound."""
    rows = _query(
        database_url,
        "select * from stagebus.job_progress"
        " where job_id = %s and stage = coalesce(%s, stage) order by stage",
        job_id,
        stage,
    )
    if not rows and (
        stage is not None
        or not _query(database_url, "select 1 from stagebus.jobs where job_id = %s", job_id)
    ):
        raise NotFound(f"there is no job {job_id}" + (f" with a stage {stage}" if stage else ""))
    return rows


def batches_status(
    database_url: str, job_id: UUID, stage: int | None = None, batch_id: UUID | None = None
) -> Rows:
    """The batches of a job, of a stage, or the one; raises NotFound."""
    rows = _query(
        database_url,
        "select stage, batch_id, status, tasks, first_index, last_index, published_through,"
        " dispatch, sends, publish_attempts, ready_at, lease_until, queued_at, last_error"
        " from stagebus.batches where job_id = %s and stage = coalesce(%s, stage)"
        " and batch_id = coalesce(%s, batch_id) order by stage, first_index",
        job_id,
        stage,
        batch_id,
    )
    if not rows:
        raise NotFound(f"there is no such batch in job {job_id}")
    return rows


def why_stuck(database_url: str, job_id: UUID) -> Rows:
    """A row per cause that keeps the job from going on: cause, stage, evidence, fix."""
    return _query(database_url, "select * from stagebus.why_stuck(%s)", job_id)


def doctor(database_url: str) -> Rows:
    """A row per thing that threatens the system, worst first: severity, finding, fix."""
    return _query(database_url, "select * from stagebus.doctor(%s)", code_digest())


def orders(database_url: str, job_id: UUID | None, working: bool, limit: int) -> Rows:
    """The orders, newest first: of all jobs or the one, those that are worked off or all."""
    return _query(
        database_url,
        "select * from stagebus.orders where job_id = coalesce(%s, job_id)"
        " and (status = 'working' or not %s) order by order_id desc limit %s",
        job_id,
        working,
        limit,
    )


def queue_of(database_url: str, destination: str) -> tuple[str, datetime]:
    """The queue that a destination is, and the database's time; raises NotFound."""
    rows = _query(
        database_url,
        "select entity, entity_kind, stagebus.clock() as now from stagebus.destination_status"
        " where destination = %s",
        destination,
    )
    if not rows:
        raise NotFound(f"there is no destination {destination!r}")
    if rows[0]["entity_kind"] != "queue":
        raise NotFound(f"destination {destination!r} is no queue: a topic keeps no messages")
    return rows[0]["entity"], rows[0]["now"]


def reconcile(database_url: str, destination: str, seen: Seen, before: datetime) -> Rows:
    """A row per difference between the queue, as it was seen from then on, and the database."""
    return _query(
        database_url,
        "select * from stagebus.reconcile(%s, %s::text[], %s::text[], before => %s, whole => %s)",
        destination,
        seen.message_ids,
        seen.dead_letter_ids,
        before,
        seen.whole,
    )


def wait_for_end(
    database_url: str,
    job_id: UUID,
    stage: int | None,
    timeout: float | None,
    look: Callable[[str], None],
    away: Callable[[str], None],
) -> ExitCode:
    """Returns when the job, or one stage of it, has ended, or `timeout` seconds have passed.

    Listens on stagebus_jobs, which tells of stages, and looks once a second, which finds the
    rest. `look` is told each status once, `away` each time that the database is. Raises NotFound
    for a job that does not exist; a stage may still come.
    """

    def status_of(connection: Connection[DictRow]) -> str:
        return _status(connection, job_id, stage)

    seen = ""
    for status in repeatedly(
        database_url, "wait", job_id, status_of, every=LOOK, timeout=timeout, away=away
    ):
        if status != seen:
            look(status)
            seen = status
        if status in ENDS:
            return ENDS[status]
    return ExitCode.TIMED_OUT


def _status(connection: Connection[DictRow], job_id: UUID, stage: int | None) -> str:
    job = connection.execute(
        "select status from stagebus.jobs where job_id = %s", (job_id,)
    ).fetchone()
    if job is None:
        raise NotFound(f"there is no job {job_id}")
    if stage is None:
        return str(job["status"])
    row = connection.execute(
        "select status from stagebus.stages where job_id = %s and stage = %s", (job_id, stage)
    ).fetchone()
    if row is None and job["status"] in ENDS:
        raise NotFound(f"job {job_id} has ended without a stage {stage}")
    return "not there yet" if row is None else str(row["status"])


def _query(database_url: str, query: LiteralString, *arguments: object) -> Rows:
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        return connection.execute(query, arguments).fetchall()
