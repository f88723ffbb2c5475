"""Where programs measure: a server of their own, an endpoint, and bridges as processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow

from bridge.local.endpoint.process import RunningEndpoint, run_endpoint
from bridge.local.postgres import DEFAULT_VERSION, LocalPostgres, temporary_postgres
from bridge.migrate import migrate

Connection = psycopg.Connection[TupleRow]

#: No checkpoint but those that a program asks for; else as PostgreSQL comes.
SETTINGS = {"max_wal_size": "8GB"}

#: Whom the bridges connect as.
ROLE = "bench_bridge"

READY_WITHIN = 60.0
STOPPED_WITHIN = 30.0

_WAITING = """
select
    exists (select from stagebus_data.batches where state = 'pending_queue')
        or exists (select from stagebus_data.batches where lease_until is not null),
    (select min(pause_reason) from stagebus_data.destinations)
"""


@contextmanager
def database(
    settings: Mapping[str, str] | None = None,
    *,
    version: int = DEFAULT_VERSION,
    port: int | None = None,
) -> Iterator[LocalPostgres]:
    """A server whose database `postgres` has stagebus in it."""
    with temporary_postgres(version, port, {**SETTINGS, **(settings or {})}) as server:
        migrate(server.url())
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute(f"create role {ROLE} login in role stagebus_bridge")
        yield server


@dataclass(frozen=True)
class Place:
    """All that a bridge needs, and a connection to look at it."""

    server: LocalPostgres
    connection: Connection
    endpoint: RunningEndpoint

    @contextmanager
    def bridges(
        self,
        count: int = 1,
        *,
        database_url: str | None = None,
        connection_string: str | None = None,
        options: Sequence[str] = (),
    ) -> Iterator[list[subprocess.Popen[bytes]]]:
        """So many bridges that wait for work; stopped as by an operator in the end."""
        environment = {
            **os.environ,
            "STAGEBUS_DATABASE_URL": make_conninfo(database_url or self.server.url(), user=ROLE),
            "STAGEBUS_SERVICEBUS_CONNECTION_STRING": connection_string
            or self.endpoint.connection_string,
        }
        command = [sys.executable, "-m", "bridge", "bridge", *options]
        with tempfile.TemporaryDirectory() as folder:
            logs = [Path(folder) / f"bridge-{number}.log" for number in range(count)]
            running = []
            try:
                for log in logs:
                    with log.open("wb") as file:
                        running.append(
                            subprocess.Popen(command, env=environment, stdout=file, stderr=file)
                        )
                for process, log in zip(running, logs, strict=True):
                    _wait_until_started(process, log)
                yield running
            finally:
                _stop(running)

    def create(self, tasks: int, task_type: str = "h3_hexagon") -> UUID:
        """A job with one stage of so many tasks, in a transaction of its own."""
        return create(self.connection, tasks, task_type)

    def wait_until_published(self, within: float = 600.0) -> None:
        """Until no batch waits or is on its way."""
        ends = time.monotonic() + within
        while True:
            ((waiting, paused),) = self.connection.execute(_WAITING).fetchall()
            if paused is not None:
                raise RuntimeError(f"a destination is paused: {paused}")
            if not waiting:
                return
            if time.monotonic() > ends:
                raise TimeoutError(f"not published within {within:g} seconds")
            time.sleep(0.02)

    def last_acceptance(self, job_id: UUID) -> float:
        """When the job's last send was recorded, by time.time(): one call after its answer."""
        ((at, messages, tasks),) = self.connection.execute(
            "select extract(epoch from max(recorded_at)), sum(messages),"
            " (select sum(task_count) from stagebus_data.stages where job_id = %(job_id)s)"
            " from stagebus_data.sends where job_id = %(job_id)s and outcome = 'accepted'",
            {"job_id": job_id},
        ).fetchall()
        assert messages == tasks, "each task was accepted once"
        return float(at)

    def body_bytes(self) -> int:
        """How long the body of a message is, on average over all stages."""
        ((size,),) = self.connection.execute(
            "select sum(body_bytes) / sum(task_count) from stagebus_data.stages"
        ).fetchall()
        return int(size)

    def warm_up(self) -> None:
        """Every lane of a bridge that has just started opens its link."""
        self.connection.execute("select stagebus.set_task_type('small', batch_size => 10)")
        self.create(400, "small")
        self.wait_until_published()

    def publishing_time(self, tasks: int, bridges: int = 1, **how: Any) -> float:
        """Seconds for a new stage of so many tasks, as in `publishing_time_of`."""
        return self.publishing_time_of(lambda: [self.create(tasks)], bridges, **how)

    def publishing_time_of(
        self, make: Callable[[], Sequence[UUID]], bridges: int = 1, **how: Any
    ) -> float:
        """Seconds for the jobs that are made, when there are no others.

        The bridges are new, since one that has published must not see its jobs go away.
        """
        clean(self.connection)
        return self.publishing_time_beside(make, bridges, **how)

    def publishing_time_beside(
        self, make: Callable[[], Sequence[UUID]], bridges: int = 1, **how: Any
    ) -> float:
        """Seconds for the jobs that are made, from before their first claim to the last acceptance.

        All of them are there before, and the bridges wait, connected, until their destination is
        resumed.
        """
        with self.bridges(bridges, **how):
            self.warm_up()
            self.connection.execute("select stagebus.pause_destination('tasks')")
            jobs = make()
            self.connection.execute("checkpoint")
            began = time.time()
            self.connection.execute("select stagebus.resume_destination('tasks')")
            self.wait_until_published()
            return max(map(self.last_acceptance, jobs)) - began


@contextmanager
def place(
    settings: Mapping[str, str] | None = None,
    *,
    port: int | None = None,
    endpoint_options: Sequence[str] = (),
) -> Iterator[Place]:
    """A database and a local endpoint for bridges."""
    with (
        database(settings, port=port) as server,
        psycopg.connect(server.url(), autocommit=True) as connection,
        run_endpoint(["tasks", "jobs"], arguments=endpoint_options) as endpoint,
    ):
        yield Place(server, connection, endpoint)


def create(connection: Connection, tasks: int, task_type: str = "h3_hexagon") -> UUID:
    """A job with one stage of so many tasks, in a transaction of its own."""
    row = connection.execute(
        "select made.job_id from stagebus.create_job('bench') as made (job_id),"
        " stagebus.create_stage_tasks(made.job_id, 1, %s, %s)",
        (task_type, tasks),
    ).fetchone()
    assert row is not None
    return UUID(str(row[0]))


def clean(connection: Connection) -> None:
    """No job is left; what was written before is on the disk."""
    connection.execute(
        "truncate stagebus_data.jobs, stagebus_data.tasks, stagebus_data.batches,"
        " stagebus_data.counter_slots, stagebus_data.counter_groups,"
        " stagebus_data.running_attempts cascade"
    )
    connection.execute("checkpoint")


def max_rss(process: subprocess.Popen[bytes]) -> float:
    """The most memory that a running process has had, in MB."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"process {process.pid} has no VmHWM")


def _wait_until_started(process: subprocess.Popen[bytes], log: Path) -> None:
    ends = time.monotonic() + READY_WITHIN
    while b"bridge.started" not in log.read_bytes():
        if process.poll() is not None or time.monotonic() > ends:
            raise RuntimeError(f"a bridge did not start:\n{log.read_text()[-2000:]}")
        time.sleep(0.02)


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.send_signal(signal.SIGTERM)
    for process in processes:
        try:
            process.wait(STOPPED_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
