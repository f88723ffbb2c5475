"""The demo's controller: what a user of stagebus writes, as a producer, in SQL.

Two statements define the plan (plan.sql), one submits a job; the bridge makes the stages. From then
on the controller only watches.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar
from uuid import UUID

import psycopg
from psycopg.rows import TupleRow

from bridge.local.demo.places import Place
from bridge.local.demo.work import Total

PLAN = Path(__file__).with_name("plan.sql")

Found = TypeVar("Found", bool, str)

SUBMIT = "select stagebus.submit_job('demo')"


class Progress(NamedTuple):
    """How far a stage is, in tasks."""

    tasks: int
    published: int
    completed: int


class Controller:
    """One connection as a member of stagebus_producer that owns the schema demo."""

    def __init__(self, connection: psycopg.Connection[TupleRow]) -> None:
        self._connection = connection
        connection.execute("listen stagebus_jobs")

    def load(self, places: list[Place]) -> None:
        """The input, by COPY, into a table of the producer's own."""
        self._connection.execute(
            "create table demo.place (geoname_id bigint primary key, name text,"
            " latitude double precision, longitude double precision, population bigint)"
        )
        with self._connection.cursor().copy("copy demo.place from stdin") as copy:
            for place in places:
                copy.write_row(place)

    def define_plan(self) -> None:
        self._connection.execute(PLAN.read_bytes())

    def submit_job(self) -> UUID:
        return UUID(str(self._row(SUBMIT)[0]))

    def wait_until_made(self, job_id: UUID, stage: int, timeout: float) -> None:
        """Returns when the plan has made the stage.

        Raises TimeoutError, and RuntimeError when the plan cannot make it, or the job ended.
        """

        def made() -> bool:
            row = self._row(
                "select s.stage is not null, j.ended_at is not null, j.status, j.why, j.error"
                " from stagebus.jobs as j"
                " left join stagebus.stages as s on s.job_id = j.job_id and s.stage = %s"
                " where j.job_id = %s",
                stage,
                job_id,
            )
            is_made, has_ended, status, why, error = row
            if why is not None:
                raise RuntimeError(f"{why}: {error}")
            if has_ended and not is_made:
                raise RuntimeError(f"the job ended as {status}, without stage {stage}")
            return bool(is_made)

        self._wait(made, f"stage {stage} was not made", timeout)

    def wait_for_stage(
        self,
        job_id: UUID,
        stage: int,
        look: Callable[[Progress], None],
        timeout: float,
    ) -> bool:
        """Whether all of the stage's tasks completed, once it has ended; False: some failed.

        The notification ends the wait at once; a look every tenth of a second drives the progress
        bars and would find the end without it. Raises TimeoutError, and RuntimeError when the
        stage ended otherwise.
        """
        status = ""

        def ended() -> bool:
            nonlocal status
            row = self._row(
                "select stage_status, tasks, tasks - pending_queue, completed"
                " from stagebus.job_progress where job_id = %s and stage = %s",
                job_id,
                stage,
            )
            status = row[0]
            look(Progress(*map(int, row[1:])))
            return bool(status != "open")

        self._wait(ended, f"stage {stage} was not complete", timeout)
        if status not in ("completed", "failed"):
            raise RuntimeError(f"stage {stage} ended as {status}")
        return status == "completed"

    def wait_for_end(self, job_id: UUID, timeout: float) -> str:
        """How the job ended, once its plan has nothing left to do."""

        def status() -> str:
            row = self._row(
                "select status, ended_at is not null from stagebus.jobs where job_id = %s", job_id
            )
            return str(row[0]) if row[1] else ""

        return self._wait(status, "the job was not over", timeout)

    def totals(self, job_id: UUID) -> dict[str, Total]:
        """The result: what stage 2 found for each coarse hexagon."""
        rows = self._connection.execute(
            "select result ->> 'hexagon', (result -> 'places')::int,"
            " (result -> 'population')::bigint"
            " from stagebus.stage_results_by_name(%s, 'totals')",
            (job_id,),
        ).fetchall()
        return {str(row[0]): Total(int(row[1]), int(row[2])) for row in rows}

    def _wait(self, condition: Callable[[], Found], what: str, timeout: float) -> Found:
        """What the condition returns once it is true; each notification makes it asked anew."""
        deadline = time.monotonic() + timeout
        while not (found := condition()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what} after {timeout:g} s")
            for _ in self._connection.notifies(timeout=0.1, stop_after=1):
                pass
        return found

    def _row(self, query: str, *arguments: object) -> TupleRow:
        row = self._connection.execute(query, arguments).fetchone()
        assert row is not None
        return row
