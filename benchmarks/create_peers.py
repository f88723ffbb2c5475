"""How many tasks per second are created by create_stage_tasks, and how many in other ways?

ours           select create_stage_tasks(…), one call
loop           one insert per task, each a round trip and a commit: what stagebus is there to end
executemany    psycopg's, which sends many inserts at a time; one transaction
copy           psycopg's COPY; one transaction
procrastinate  Task.batch_defer, a call per 10,000 jobs; its jobs have events, written by triggers
pgqueuer       Queries.enqueue of lists, over asyncpg, a call per 10,000 jobs, as it is installed
               (durable); it keeps a log of each job

loop, executemany and copy write the rows of ours, without batches and counters; the last two their
own tables, with {"index": i} as what a job carries. A database each, the same server, in turn; the
loop with fewer tasks, since its rate does not depend on them.

    python -m benchmarks.create_peers [--tasks 100000] [--looped 2000] [--rounds 3]
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from uuid import UUID

import asyncpg
import click
import procrastinate
import psycopg
from pgqueuer.db import AsyncpgDriver
from pgqueuer.queries import Queries

from benchmarks.measure import Measured, over, paired, program, ratios, seconds
from benchmarks.place import Connection, clean, create, database

#: Jobs in one call of the two libraries, whose documentation names no best number.
CALL = 10_000

INSERT = "insert into stagebus_data.tasks (job_id, stage, task_index) values (%s, 1, %s)"
COPY = "copy stagebus_data.tasks (job_id, stage, task_index) from stdin"


class Ours:
    """The ways that write rows of stagebus_data.tasks."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def _job_id(self) -> UUID:
        clean(self._connection)
        ((job_id,),) = self._connection.execute("select stagebus.new_job_id()").fetchall()
        return UUID(str(job_id))

    def ours(self, tasks: int) -> float:
        clean(self._connection)
        return seconds(lambda: create(self._connection, tasks))

    def loop(self, tasks: int) -> float:
        job_id = self._job_id()

        def run() -> None:
            for index in range(1, tasks + 1):
                self._connection.execute(INSERT, (job_id, index))

        return seconds(run)

    def executemany(self, tasks: int) -> float:
        job_id = self._job_id()

        def run() -> None:
            with self._connection.transaction(), self._connection.cursor() as cursor:
                cursor.executemany(INSERT, [(job_id, index) for index in range(1, tasks + 1)])

        return seconds(run)

    def copy(self, tasks: int) -> float:
        job_id = self._job_id()

        def run() -> None:
            with (
                self._connection.transaction(),
                self._connection.cursor() as cursor,
                cursor.copy(COPY) as copy,
            ):
                for index in range(1, tasks + 1):
                    copy.write_row((job_id, 1, index))

        return seconds(run)


@contextmanager
def procrastinate_jobs(url: str) -> Iterator[Callable[[int], float]]:
    # It warns of an app in the main module, which a worker could not import; there is no worker.
    logging.getLogger("procrastinate").setLevel(logging.ERROR)
    app = procrastinate.App(connector=procrastinate.SyncPsycopgConnector(conninfo=url))

    @app.task(name="bench", queue="bench")
    def work(index: int) -> None: ...

    with app.open(), psycopg.connect(url, autocommit=True) as connection:
        app.schema_manager.apply_schema()

        def run(tasks: int) -> float:
            connection.execute("truncate procrastinate_jobs cascade")
            connection.execute("checkpoint")

            def defer() -> None:
                for first in range(0, tasks, CALL):
                    work.batch_defer(
                        *({"index": i + 1} for i in range(first, min(first + CALL, tasks)))
                    )

            return seconds(defer)

        yield run


@contextmanager
def pgqueuer_jobs(url: str) -> Iterator[Callable[[int], float]]:
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(url))
        queries = Queries(AsyncpgDriver(connection))
        runner.run(queries.install())

        async def enqueue(tasks: int) -> None:
            for first in range(0, tasks, CALL):
                payloads = [
                    b'{"index": %d}' % (i + 1) for i in range(first, min(first + CALL, tasks))
                ]
                count = len(payloads)
                await queries.enqueue(["bench"] * count, list(payloads), [0] * count)

        def run(tasks: int) -> float:
            runner.run(connection.execute("truncate pgqueuer, pgqueuer_log"))
            runner.run(connection.execute("checkpoint"))
            return seconds(lambda: runner.run(enqueue(tasks)))

        yield run
        runner.run(connection.close())


@program
@click.option("--tasks", default=100_000, show_default=True)
@click.option("--looped", default=2_000, show_default=True, help="Tasks of the loop.")
@click.option("--rounds", default=3, show_default=True)
def main(tasks: int, looped: int, rounds: int) -> Measured:
    """Tasks per second, by several ways of making them."""
    with ExitStack() as stack:
        server = stack.enter_context(database())
        connection = stack.enter_context(psycopg.connect(server.url(), autocommit=True))
        for name in ("procrastinate", "pgqueuer"):
            connection.execute(f"create database {name}")  # type: ignore[call-overload]
        own = Ours(connection)
        ways = {
            "ours": own.ours,
            "loop": own.loop,
            "executemany": own.executemany,
            "copy": own.copy,
            "procrastinate": stack.enter_context(procrastinate_jobs(server.url("procrastinate"))),
            "pgqueuer": stack.enter_context(pgqueuer_jobs(server.url("pgqueuer"))),
        }

        def rate(way: str) -> Callable[[], float]:
            size = looped if way == "loop" else tasks
            return lambda: size / ways[way](size)

        rates = paired(rounds, {way: rate(way) for way in ways})
    measured: Measured = {
        f"create_{way}_rows_per_s": over([each[way] for each in rates], "rows/s") for way in ways
    }
    return measured | {
        f"create_ratio_to_{way}": ratios(rates, "ours", way) for way in ways if way != "ours"
    }


if __name__ == "__main__":
    main()
