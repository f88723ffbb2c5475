"""Bridges and workers over a real endpoint and a real database, in the test's loop or apart."""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest
from azure.servicebus import (
    ServiceBusClient,
    ServiceBusMessage,
    ServiceBusReceivedMessage,
    ServiceBusReceiveMode,
)
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from bridge.local.endpoint.process import RunningEndpoint, run_endpoint
from bridge.local.postgres import LocalPostgres
from bridge.migrate import migrate
from bridge.relay import Relay
from bridge.settings import Settings
from tests.bridge.gate import Gate
from tests.client import Client
from tests.eventually import eventually

#: Bytes of one batch at the endpoint of most tests: about ninety of its messages.
BATCH_BYTES = 32_768

#: What must never be seen in a log.
DATABASE_PASSWORD = "a-database-password"
KEY = "SAS_KEY_VALUE"

#: For modules whose tests cut connections: the SDK forgets one that was cut, or whose opening was
#: cancelled, without closing it; the garbage collector does that.
LOSES_CONNECTIONS = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.usefixtures("collect_garbage"),
]

#: One login for each audience, as in a real installation; the roles of a server are shared, so
#: another process that tests on it has others.
BRIDGE_LOGIN = f"stagebus_test_bridge_{os.getpid()}"
WORKER_LOGIN = f"stagebus_test_worker_{os.getpid()}"
LOGINS = {BRIDGE_LOGIN: "stagebus_bridge", WORKER_LOGIN: "stagebus_worker"}

_PROJECT = Path(__file__).resolve().parents[2]
_ENTITIES = count(1)


@pytest.fixture
def collect_garbage() -> Iterator[None]:
    """What a test leaves behind is found in its own name."""
    yield
    gc.collect()


@dataclass(frozen=True)
class Queue:
    """A queue of an endpoint that only this test uses."""

    endpoint: RunningEndpoint
    name: str

    @property
    def counts(self) -> Mapping[str, int]:
        return self.endpoint.counts()["entities"][self.name]

    @property
    def stored(self) -> int:
        return self.counts["stored"]

    @property
    def dead(self) -> int:
        """How many messages its dead-letter queue holds, in whatever state."""
        return self.counts["dead_letter_count"]

    @property
    def connection_string(self) -> str:
        return self.endpoint.connection_string

    @property
    def port(self) -> int:
        return port_of(self.connection_string)

    def receive(self, messages: int) -> list[ServiceBusReceivedMessage]:
        """Takes so many messages, and whatever else is there."""
        received: list[ServiceBusReceivedMessage] = []
        client = ServiceBusClient.from_connection_string(self.connection_string)
        receiver = client.get_queue_receiver(
            self.name, receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE
        )
        while len(received) < messages:
            page = receiver.receive_messages(messages - len(received), max_wait_time=5)
            assert page, f"{len(received)} of {messages} messages came"
            received += page
        received += receiver.receive_messages(100, max_wait_time=0.1)
        close_meanwhile(receiver, client)
        return received

    def bury(self, messages: int = 1, reason: str = "a reason", text: str = "in full") -> None:
        """Puts so many of its messages into its dead-letter queue, as a worker would."""
        client = ServiceBusClient.from_connection_string(self.connection_string)
        receiver = client.get_queue_receiver(self.name)
        while messages > 0:
            page = receiver.receive_messages(messages, max_wait_time=5)
            assert page, f"{messages} messages did not come"
            for message in page:
                receiver.dead_letter_message(message, reason=reason, error_description=text)
            messages -= len(page)
        close_meanwhile(receiver, client)

    def send(self, messages: Sequence[ServiceBusMessage]) -> None:
        """Puts messages there, as another program would."""
        client = ServiceBusClient.from_connection_string(self.connection_string)
        sender = client.get_queue_sender(self.name)
        sender.send_messages(list(messages))
        close_meanwhile(sender, client)


#: Closing takes the SDK a second, spent asleep: so it is done beside the tests.
_CLOSING: list[threading.Thread] = []


def close_meanwhile(*parts: Any) -> None:
    def close() -> None:
        for part in parts:
            part.close()

    _CLOSING.append(threading.Thread(target=close))
    _CLOSING[-1].start()


def port_of(connection_string: str) -> int:
    """The port of an endpoint's connection string."""
    return int(connection_string.split(";")[0].rsplit(":", 1)[1])


def through(connection_string: str, port: int) -> str:
    """The same connection string, to another port."""
    return connection_string.replace(f":{port_of(connection_string)};", f":{port};")


@pytest.fixture(scope="session")
def endpoint() -> Iterator[RunningEndpoint]:
    """The endpoint of most tests; each has a queue of its own there."""
    queues = [f"tasks-{number}" for number in range(1, 300)]
    arguments = ["--max-batch-bytes", str(BATCH_BYTES)]
    with run_endpoint(queues, arguments=arguments) as running:
        yield running
        for thread in _CLOSING:
            thread.join()


@pytest.fixture
def empty_queue(endpoint: RunningEndpoint) -> Queue:
    """One that no destination leads to."""
    return Queue(endpoint, f"tasks-{next(_ENTITIES)}")


@pytest.fixture
def queue(empty_queue: Queue, client: Client) -> Queue:
    """An empty queue, and the destination `tasks` leads there."""
    client.set_destination("tasks", entity=empty_queue.name)
    return empty_queue


@contextmanager
def logins(url: str) -> Iterator[None]:
    with psycopg.connect(url, autocommit=True) as connection:
        for login, audience in LOGINS.items():
            connection.execute(f"drop role if exists {login}")
            connection.execute(
                f"create role {login} login password '{DATABASE_PASSWORD}' in role {audience}"
            )
        yield
        for login in LOGINS:
            # Another folder's tests may have had the same logins, and dropped them.
            connection.execute(f"drop role if exists {login}")


@pytest.fixture(scope="session")
def audiences(server: Any, template: Any) -> Iterator[None]:
    """The logins exist; the template has made the roles they are members of."""
    with logins(server.url(server.maintenance_dbname)):
        yield


@pytest.fixture
def bridge_url(audiences: None, database_url: str) -> str:
    """The test's database, as a bridge's login."""
    return as_login(database_url, BRIDGE_LOGIN)


@pytest.fixture
def worker_url(audiences: None, database_url: str) -> str:
    """The test's database, as a worker's login."""
    return as_login(database_url, WORKER_LOGIN)


def as_login(url: str, login: str) -> str:
    return make_conninfo(url, user=login, password=DATABASE_PASSWORD)


@pytest.fixture
def settings(bridge_url: str, queue: Queue) -> Callable[..., Settings]:
    """Settings of a bridge of this test; what is named replaces the default."""

    def make(**named: Any) -> Settings:
        return Settings(
            **{
                "database_url": bridge_url,
                "servicebus_connection_string": queue.connection_string,
                "allow_fsync_off": True,
                **named,
            }
        )

    return make


@pytest.fixture
def gate(queue: Queue) -> Iterator[Gate]:
    """A proxy before the endpoint."""
    with Gate("127.0.0.1", queue.port) as opened:
        yield opened


@pytest.fixture
def gated(settings: Callable[..., Settings], queue: Queue, gate: Gate) -> Callable[..., Settings]:
    """`settings` of a bridge that reaches the endpoint through the gate."""

    def make(**named: Any) -> Settings:
        return settings(
            servicebus_connection_string=through(queue.connection_string, gate.port), **named
        )

    return make


@pytest.fixture
def database_gate(database_url: str) -> Iterator[Gate]:
    """A proxy before PostgreSQL."""
    parts = conninfo_to_dict(database_url)
    with Gate(str(parts["host"]), int(str(parts["port"]))) as opened:
        yield opened


def through_gate(url: str, gate: Gate) -> str:
    """The same database, through the gate."""
    return make_conninfo(url, host="127.0.0.1", port=gate.port)


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Relay]:
    """A bridge in this loop; it drains at the end."""
    import asyncio

    relay = Relay(settings)
    work = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        relay.stop()
        async with asyncio.timeout(30):
            await work


@dataclass
class BridgeProcess:
    """`stagebus bridge` as a process."""

    process: subprocess.Popen[bytes]
    log: Path
    folder: Path = field(repr=False, default=Path())

    def events(self) -> list[dict[str, Any]]:
        """The lines of its log; every one of them must be a JSON object."""
        lines = self.log.read_text("utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def names(self) -> Counter[str]:
        return Counter(event["event"] for event in self.events())

    def wait_for(self, event: str) -> dict[str, Any]:
        """The first event of that name."""

        def look() -> list[dict[str, Any]]:
            assert self.process.poll() is None, self.log.read_text("utf-8")
            whole = self.log.read_text("utf-8").rpartition("\n")[0].splitlines()
            return [found for line in whole if (found := json.loads(line))["event"] == event]

        return eventually(look)[0]

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def exit_code(self, within: float = 30.0) -> int:
        return self.process.wait(within)


def handles(process: subprocess.Popen[bytes], number: signal.Signals) -> bool:
    """Whether the process has a handler for the signal by now, as Linux tells it."""
    status = Path(f"/proc/{process.pid}/status").read_text("ascii")
    (caught,) = (line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


def bridge_process(log: Path, environment: Mapping[str, str], *arguments: str) -> BridgeProcess:
    """Starts `stagebus bridge` as a process that writes this log."""
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "bridge", "bridge", *arguments],
            cwd=_PROJECT,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )
    return BridgeProcess(process, log)


@pytest.fixture
def start_bridge(tmp_path: Path, settings: Callable[..., Settings]) -> Iterator[Any]:
    """Starts `stagebus bridge` as a process, with settings by the environment; kills it at last."""
    started: list[BridgeProcess] = []

    def start(*arguments: str, **environment: str) -> BridgeProcess:
        given = settings()
        environment = {
            **os.environ,
            "STAGEBUS_DATABASE_URL": given.database_url,
            "STAGEBUS_SERVICEBUS_CONNECTION_STRING": str(given.servicebus_connection_string),
            "STAGEBUS_ALLOW_FSYNC_OFF": "1",
            **environment,
        }
        log = tmp_path / f"bridge-{len(started) + 1}.log"
        started.append(bridge_process(log, environment, *arguments))
        return started[-1]

    yield start
    for bridge in started:
        bridge.process.kill()
        bridge.process.wait()


class OwnServer:
    """A PostgreSQL server that a test may stop and start, with databases of it."""

    def __init__(self, postgres: LocalPostgres) -> None:
        self.postgres = postgres
        self._numbers = count(1)

    def new_database(self, *, migrated: bool = True) -> str:
        name = f"own_{next(self._numbers)}"
        template = "migrated" if migrated else "template0"
        with psycopg.connect(self.postgres.url(), autocommit=True) as connection:
            connection.execute(f"create database {name} template {template}")
        return self.postgres.url(name)

    def restart(self) -> None:
        self.postgres.stop()
        self.postgres.start()


@pytest.fixture(scope="session")
def own_server() -> Iterator[OwnServer]:
    """A server of the bridge's tests alone."""
    folder = Path(tempfile.mkdtemp(prefix="stagebus-own-"))
    postgres = LocalPostgres(folder, settings={"fsync": "off", "autovacuum": "off"})
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.callback(postgres.stop, signal.SIGQUIT)
        postgres.start()
        with psycopg.connect(postgres.url(), autocommit=True) as connection:
            connection.execute("create database migrated")
        migrate(postgres.url("migrated"))
        with psycopg.connect(postgres.url(), autocommit=True) as connection:
            for login, audience in LOGINS.items():
                connection.execute(f"create role {login} login in role {audience}")
        yield OwnServer(postgres)


def create_stage(
    client: Client, tasks: int, *, batch_size: int = 100, task_type: str = "tiles", **options: Any
) -> Any:
    """A job with one stage, cut into batches of that size; returns the job's id."""
    client.set_task_type(task_type, batch_size=batch_size, **options)
    job_id = client.create_job()
    client.create_stage_tasks(job_id, 1, task_type, tasks)
    return job_id


def states(client: Client) -> Counter[str]:
    """How many batches are in which state."""
    rows = client.rows("select state, count(*) from stagebus_data.batches group by state")
    return Counter(dict(rows))


def all_queued(client: Client) -> bool:
    return set(states(client)) == {"queued"}


def sends_of(client: Client, outcome: str = "accepted") -> int:
    found: int = client.value(
        "select count(*) from stagebus_data.sends where outcome = %s", outcome
    )
    return found


def expected_ids(client: Client, job_id: Any) -> set[str]:
    """The message ids of a stage's first dispatch, put together from the rows."""
    return set(
        client.column(
            "select t.task_id || '.' || t.attempt || '.1.' || s.nonce"
            " from stagebus.tasks as t join stagebus_data.stages as s using (job_id, stage)"
            " where t.job_id = %s",
            job_id,
        )
    )


def assert_ledger_is_whole(client: Client, job_id: Any) -> None:
    """The accepted sends of every batch cover it, in order, without a gap or an overlap."""
    for batch in client.batches(job_id):
        sends = client.rows(
            "select * from stagebus_data.sends where job_id = %s and batch_id = %s"
            " and outcome = 'accepted' order by send_no",
            job_id,
            batch.batch_id,
        )
        assert sends[0].first_index == batch.first_index
        assert sends[-1].last_index == batch.last_index
        for before, after in pairwise(sends):
            assert after.first_index == before.last_index + 1
        assert sum(send.messages for send in sends) == batch.task_count


def journal_ids(paths: Sequence[Path]) -> Counter[str]:
    """The message ids that endpoints have stored, by their journals."""
    lines = (line.split("\t") for path in paths for line in path.read_text("utf-8").splitlines())
    # Number 0: a repeat that was dropped.
    return Counter(message_id for _, number, message_id in lines if number != "0")
