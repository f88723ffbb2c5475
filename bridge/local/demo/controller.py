"""The demo's controller: what a user of stagebus writes, as a producer, in SQL calls."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple
from uuid import UUID

import psycopg
from psycopg.rows import TupleRow

from bridge.local.demo.places import Place
from bridge.local.demo.work import Total

STAGE_1 = """
    select jsonb_build_object(
        'geoname_id', geoname_id, 'latitude', latitude, 'longitude', longitude,
        'population', population)
    from demo_place
    order by geoname_id
"""

STAGE_2 = """
    select jsonb_build_object(
        'hexagon', result ->> 'coarse', 'populations', jsonb_agg(result -> 'population'))
    from stagebus.stage_results('{job_id}', 1)
    group by result ->> 'coarse'
    order by result ->> 'coarse'
"""


class Progress(NamedTuple):
    """How far a stage is, in tasks."""

    tasks: int
    published: int
    completed: int


class Controller:
    """One connection as a member of stagebus_producer."""

    def __init__(self, connection: psycopg.Connection[TupleRow]) -> None:
        self._connection = connection
        connection.execute("listen stagebus_jobs")

    def load(self, places: list[Place]) -> None:
        """The input, by COPY, into a table of the producer's own."""
        self._connection.execute(
            "create temporary table demo_place (geoname_id bigint, name text,"
            " latitude double precision, longitude double precision, population bigint)"
        )
        with self._connection.cursor().copy("copy demo_place from stdin") as copy:
            for place in places:
                copy.write_row(place)

    def create_job(self) -> UUID:
        return UUID(str(self._row("select stagebus.create_job('demo')")[0]))

    def create_stage(self, job_id: UUID, stage: int, task_type: str, query: str) -> int:
        """The stage's tasks, one per row of the query; returns how many."""
        row = self._row(
            "select tasks from stagebus.create_stage_tasks_from_query(%s, %s, %s, %s)",
            job_id,
            stage,
            task_type,
            query,
        )
        return int(row[0])

    def wait_for_stage(
        self,
        job_id: UUID,
        stage: int,
        look: Callable[[Progress], None],
        timeout: float,
        *,
        with_errors: bool = False,
    ) -> None:
        """Returns when the stage has completed, `with_errors` also when some tasks failed.

        The notification ends the wait at once; a look every tenth of a second drives the progress
        bars and would find the end without it. Raises TimeoutError, and RuntimeError when the
        stage ended otherwise.
        """
        deadline = time.monotonic() + timeout
        good = {"completed", "completed_with_errors"} if with_errors else {"completed"}
        while True:
            row = self._row(
                "select stage_status, tasks, tasks - pending_queue, completed"
                " from stagebus.job_progress where job_id = %s and stage = %s",
                job_id,
                stage,
            )
            look(Progress(*map(int, row[1:])))
            if row[0] in good:
                return
            if row[0] != "open":
                raise RuntimeError(f"stage {stage} ended as {row[0]}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"stage {stage} was not complete after {timeout:g} s")
            for _ in self._connection.notifies(timeout=0.1, stop_after=1):
                pass

    def totals(self, job_id: UUID) -> dict[str, Total]:
        """The result: what stage 2 found for each coarse hexagon."""
        rows = self._connection.execute(
            "select result ->> 'hexagon', (result -> 'places')::int,"
            " (result -> 'population')::bigint from stagebus.stage_results(%s, 2)",
            (job_id,),
        ).fetchall()
        return {str(row[0]): Total(int(row[1]), int(row[2])) for row in rows}

    def finish(self, job_id: UUID) -> str:
        return str(self._row("select stagebus.finish_job(%s)", job_id)[0])

    def _row(self, query: str, *arguments: object) -> TupleRow:
        row = self._connection.execute(query, arguments).fetchone()
        assert row is not None
        return row
