"""What a run is about: PostgreSQL, the endpoint, bridges, workers, producers, a controller."""

from __future__ import annotations

import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from bridge.local.endpoint.process import RunningEndpoint, run_endpoint
from bridge.local.postgres import LocalPostgres
from bridge.migrate import migrate
from tests.faults.kinds import LEASE, SEND_DEADLINE, TASK_TIMEOUT
from tests.faults.members import Member

BRIDGES = 3
WORKERS = 3
PRODUCERS = 2

#: Task types by name: how many tasks a batch has. 5,000 are several sends, 250 are one.
BATCH_SIZES = {"long": 5000, "short": 250, "then_again": 1000}

#: Seconds for which the endpoint keeps a message for the worker that has it.
LOCK_DURATION = 20


@dataclass
class World:
    """Everything that runs, and what can be done to it."""

    folder: Path
    postgres: LocalPostgres
    endpoint: RunningEndpoint
    members: list[Member] = field(default_factory=list)
    postgres_busy: threading.Lock = field(default_factory=threading.Lock)
    """Held by the fault that befalls PostgreSQL."""
    broker_busy: threading.Lock = field(default_factory=threading.Lock)
    """Held by a fault that keeps everybody from the broker."""
    clocks_busy: threading.Lock = field(default_factory=threading.Lock)
    """Held by a fault that shifts a clock."""
    disturbing: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(3))
    """Taken by each fault that waits for a send."""

    @property
    def journal(self) -> Path:
        return self.folder / "endpoint.journal"

    def named(self, prefix: str) -> list[Member]:
        return [member for member in self.members if member.name.startswith(prefix)]

    def execute(self, query: str, *arguments: object) -> list[Any]:
        """As the superuser; a new connection each time, since it may be lost at any moment."""
        with psycopg.connect(self.postgres.url(), autocommit=True, connect_timeout=5) as connection:
            cursor = connection.execute(query, arguments)
            return cursor.fetchall() if cursor.description else []

    def keep_running(self) -> None:
        for member in self.members:
            member.keep_running()

    def restart_postgres(self, mode: signal.Signals, away: float) -> bool:
        """True if another server runs than before."""
        before = self.execute("select pg_postmaster_start_time()")
        self.postgres.stop(mode)
        time.sleep(away)
        self.postgres.start()
        return self.execute("select pg_postmaster_start_time()") != before


@contextmanager
def new_world(folder: Path, rate: float, seed: int, *, clocks: bool) -> Iterator[World]:
    """Everything, running, on an empty database; gone in the end, but for logs and ledgers.

    rate: committed tasks a second. clocks: the first bridge and the first worker have clocks that
    can be shifted.
    """
    with ExitStack() as parts:
        database = Path(tempfile.mkdtemp(prefix="stagebus-faults-"))
        parts.callback(shutil.rmtree, database, ignore_errors=True)
        postgres = LocalPostgres(database)
        parts.callback(postgres.stop)
        postgres.start()
        _install(postgres)
        journal = folder / "endpoint.journal"
        arguments = ["--journal", str(journal), "--lock-duration", str(LOCK_DURATION)]
        # What faults kept from being completed is delivered again, however often.
        arguments += ["--max-delivery-count", "1000"]
        endpoint = parts.enter_context(run_endpoint(arguments=arguments))
        world = World(folder, postgres, endpoint)
        world.members += _members(world, rate, seed, clocks=clocks)
        for member in world.members:
            parts.callback(member.stop)
            member.start()
        yield world


def _install(postgres: LocalPostgres) -> None:
    migrate(postgres.url())
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        for role in ("bridge", "worker", "producer"):
            connection.execute(f"create role chaos_{role} login in role stagebus_{role}")
        for name, size in BATCH_SIZES.items():
            connection.execute(
                "select set_task_type(%s, batch_size => %s, timeout => make_interval(secs => %s),"
                " max_attempts => 20, retry_delay => '1 second', job_messages => true)",
                (name, size, TASK_TIMEOUT),
            )


def _members(world: World, rate: float, seed: int, *, clocks: bool) -> list[Member]:
    folder, broker = world.folder, world.endpoint.connection_string

    def database(role: str) -> str:
        return make_conninfo(world.postgres.url(), user=f"chaos_{role}")

    def ledger(name: str) -> str:
        return str(folder / f"{name}.ledger")

    bridge = ["-m", "bridge", "bridge", "--lease", str(LEASE)]
    bridge += ["--send-deadline", str(SEND_DEADLINE)]
    environment = {
        "STAGEBUS_DATABASE_URL": database("bridge"),
        "STAGEBUS_SERVICEBUS_CONNECTION_STRING": broker,
    }
    made = [
        Member(f"bridge-{number}", bridge, folder, environment, clock=clocks and number == 1)
        for number in range(1, BRIDGES + 1)
    ]
    for number in range(1, WORKERS + 1):
        name = f"worker-{number}"
        arguments = ["-m", "tests.faults.worker", database("worker"), broker, ledger(name)]
        made.append(Member(name, arguments, folder, clock=clocks and number == 1))
    for number in range(1, PRODUCERS + 1):
        name = f"producer-{number}"
        arguments = ["-m", "tests.faults.producer", database("producer"), ledger(name)]
        arguments += [str(rate / PRODUCERS), str(seed * 100 + number)]
        made.append(Member(name, arguments, folder))
    arguments = ["-m", "tests.faults.controller", database("producer"), broker]
    made.append(Member("controller", [*arguments, ledger("controller")], folder))
    return made
