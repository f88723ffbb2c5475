"""The reference worker: what it does with each verdict, and when it or a server goes away."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from azure.servicebus import (
    ServiceBusClient,
    ServiceBusMessage,
    ServiceBusReceiveMode,
    ServiceBusSubQueue,
)
from pydantic import JsonValue

from bridge.local.endpoint.process import RunningEndpoint, run_endpoint
from bridge.settings import Settings
from bridge.worker import StartedTask, Worker
from tests.bridge.conftest import (
    LOSES_CONNECTIONS,
    WORKER_LOGIN,
    OwnServer,
    Queue,
    all_queued,
    as_login,
    create_stage,
    running,
    through_gate,
)
from tests.bridge.gate import Gate
from tests.client import Client, PublishedStage
from tests.eventually import becomes, eventually

pytestmark = LOSES_CONNECTIONS

Make = Callable[..., Settings]

#: Seconds for which a message stays locked at the endpoint of the short locks.
SHORT_LOCK = 3.0

_PROJECT = Path(__file__).resolve().parents[2]


class Ledger:
    """A handler that notes what it did, and may be made to wait in the middle."""

    def __init__(self, *, blocked: bool = False) -> None:
        self.done: Counter[str] = Counter()
        self.calls: list[int] = []
        self.go_on = threading.Event()
        if not blocked:
            self.go_on.set()

    def __call__(self, tasks: Sequence[StartedTask]) -> list[JsonValue]:
        self.calls.append(len(tasks))
        assert self.go_on.wait(30)
        self.done.update(task.task_id for task in tasks)
        return [{"was": task.parameters["index"]} for task in tasks]


@asynccontextmanager
async def working(worker: Worker) -> AsyncIterator[Worker]:
    """A worker in this loop; it is told to stop at the end, and does."""
    work = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        async with asyncio.timeout(20):
            await work


def completed(client: Client, job_id: UUID) -> int:
    """How many tasks of stage 1 have completed, by the tasks' own rows."""
    return client.task_states(job_id).get("completed", 0)


def ended(client: Client, job_id: UUID) -> bool:
    return bool(client.stage(job_id).status == "completed")


def deliver(queue: Queue, published: PublishedStage) -> None:
    """Puts a stage's messages on the queue, as another bridge would have."""
    # Without the message's id: the broker keeps both of two repeats.
    queue.send([message_of(message.body) for message in published.messages])


def message_of(body: bytes) -> ServiceBusMessage:
    return ServiceBusMessage(body, message_id=str(uuid4()), application_properties={})


def is_empty(queue: Queue) -> bool:
    return queue.counts["active"] + queue.counts["locked"] == 0


@pytest.fixture(scope="module")
def short_locks() -> Iterator[RunningEndpoint]:
    queues = [f"short-{number}" for number in range(1, 3)]
    with run_endpoint(queues, arguments=["--lock-duration", str(SHORT_LOCK)]) as endpoint:
        yield endpoint


@pytest.fixture
def worker_of(worker_url: str, queue: Queue) -> Callable[..., Worker]:
    """A worker on the test's queue."""

    def make(handler: Ledger, **named: object) -> Worker:
        given = {
            "database_url": worker_url,
            "connection_string": queue.connection_string,
            "handler": handler,
            "queue": queue.name,
            **named,
        }
        return Worker(**given)  # type: ignore[arg-type]

    return make


def test_tasks_are_started_and_completed_in_bulk(
    client: Client, queue: Queue, settings: Make, worker_of: Callable[..., Worker]
) -> None:
    ledger = Ledger()

    async def scenario() -> UUID:
        job_id: UUID = create_stage(client, 300)
        async with running(settings(connections=2)):
            await becomes(lambda: queue.stored == 300)
        async with working(worker_of(ledger, name="one")) as worker:
            await becomes(lambda: ended(client, job_id))
            await becomes(lambda: is_empty(queue))
        assert worker.totals.completed == 300
        assert worker.totals.passed_over == 0
        return job_id

    job_id = asyncio.run(scenario())
    assert set(ledger.done.values()) == {1}
    assert len(ledger.done) == 300
    assert len(ledger.calls) < 30
    assert client.stage_results(job_id) == [(n, {"was": n}) for n in range(1, 301)]
    assert queue.counts["completed"] == 300
    assert client.count("running_attempts") == 0


def test_a_message_of_a_task_that_is_done_is_completed_and_nothing_is_run(
    client: Client, queue: Queue, worker_of: Callable[..., Worker]
) -> None:
    published = client.published_stage(5)
    client.run_stage(published)
    deliver(queue, published)
    ledger = Ledger()

    async def scenario() -> None:
        async with working(worker_of(ledger)) as worker:
            await becomes(lambda: queue.counts["completed"] == 5)
            await becomes(lambda: worker.totals.passed_over == 5)

    asyncio.run(scenario())
    assert not ledger.calls
    assert is_empty(queue)
    assert queue.counts["dead_lettered"] == 0


def test_two_messages_that_ask_for_the_same_run_once(
    client: Client, queue: Queue, worker_of: Callable[..., Worker]
) -> None:
    published = client.published_stage(3)
    deliver(queue, published)
    deliver(queue, published)
    ledger = Ledger()

    async def scenario() -> None:
        async with working(worker_of(ledger)):
            await becomes(lambda: queue.counts["completed"] == 6)

    asyncio.run(scenario())
    assert sorted(ledger.done.values()) == [1, 1, 1]
    assert ended(client, published.job_id)


def test_an_old_message_beside_that_of_the_next_attempt_does_not_hide_it(
    client: Client, queue: Queue, worker_of: Callable[..., Worker]
) -> None:
    client.set_task_type("tiles", max_attempts=2)
    old = client.published_stage(1, "tiles")
    client.start(old.messages[0], uuid4())
    client.execute(
        "update stagebus_data.running_attempts set lease_until = clock_timestamp() - interval '1 h'"
    )
    client.execute("select stagebus.maintain()")
    client.execute("select stagebus.maintain()")
    new = PublishedStage(old.job_id, 1, client.publish())
    assert [message.attempt for message in new.messages] == [2]
    # The old one comes last.
    deliver(queue, new)
    deliver(queue, old)
    ledger = Ledger()

    async def scenario() -> None:
        async with working(worker_of(ledger)):
            await becomes(lambda: queue.counts["completed"] == 2)

    asyncio.run(scenario())
    assert list(ledger.done.values()) == [1]
    assert ended(client, old.job_id)


def test_what_is_no_task_queue_message_goes_to_the_dead_letters(
    client: Client, queue: Queue, worker_of: Callable[..., Worker]
) -> None:
    published = client.published_stage(2)
    deliver(queue, published)
    queue.send([message_of(body) for body in (b"not json", b'{"schema_version": 1}', b"\xff\xfe")])

    async def scenario() -> None:
        async with working(worker_of(Ledger())):
            await becomes(lambda: queue.counts["dead_letter_count"] == 3)
            await becomes(lambda: queue.counts["completed"] == 2)

    asyncio.run(scenario())
    assert ended(client, published.job_id)
    with (
        ServiceBusClient.from_connection_string(queue.connection_string) as service,
        service.get_queue_receiver(
            queue.name,
            sub_queue=ServiceBusSubQueue.DEAD_LETTER,
            receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE,
        ) as receiver,
    ):
        dead = receiver.receive_messages(3, max_wait_time=5)
    assert {message.dead_letter_reason for message in dead} == {"not a TaskQueueMessage"}


def test_tasks_of_a_provisional_stage_wait_with_their_messages_and_run_when_it_opens(
    client: Client, queue: Queue, worker_of: Callable[..., Worker]
) -> None:
    published = client.published_stage(4)
    other = client.published_stage(3)
    client.execute(
        "update stagebus_data.stages set state = 'provisional', confirm_by = now()"
        " where job_id = %s",
        published.job_id,
    )
    deliver(queue, published)
    deliver(queue, other)
    ledger = Ledger()

    async def scenario() -> None:
        async with working(worker_of(ledger)):
            # Those of the open stage do not wait for the others.
            await becomes(lambda: ended(client, other.job_id))
            await becomes(lambda: queue.counts["locked"] == 4)
            assert client.count("running_attempts") == 0
            client.execute(
                "update stagebus_data.stages set state = 'open' where state = 'provisional'"
            )
            await becomes(lambda: ended(client, published.job_id))
            await becomes(lambda: is_empty(queue))

    asyncio.run(scenario())
    assert set(ledger.done) == {*published.task_ids, *other.task_ids}
    assert set(ledger.done.values()) == {1}


def test_a_worker_that_waits_for_a_provisional_stage_can_be_stopped(
    client: Client, queue: Queue, worker_of: Callable[..., Worker]
) -> None:
    published = client.published_stage(4)
    client.execute("update stagebus_data.stages set state = 'provisional', confirm_by = now()")
    deliver(queue, published)

    async def scenario() -> None:
        async with working(worker_of(Ledger())):
            await becomes(lambda: queue.counts["locked"] == 4)

    asyncio.run(scenario())
    # Given back: another worker has them at once.
    assert queue.counts["active"] == 4
    assert client.task_states(published.job_id) == {"queued": 4}


def test_messages_that_wait_do_not_hold_up_what_comes_after_them(
    client: Client, queue: Queue, worker_of: Callable[..., Worker]
) -> None:
    told = client.provisional_stage(4)
    waiting = PublishedStage(told.job_id, 1, client.batch_messages(claim := client.claim()))
    deliver(queue, waiting)
    ledger = Ledger()

    async def scenario() -> None:
        async with working(worker_of(ledger)) as worker:
            await becomes(lambda: queue.counts["locked"] == 4)
            for _ in range(2):
                later = client.published_stage(3)
                deliver(queue, later)
                await becomes(lambda later=later: ended(client, later.job_id))
            await becomes(lambda: queue.counts["completed"] == 6)
            assert queue.counts["locked"] == 4
            client.finish_batch(claim)
            await becomes(lambda: ended(client, told.job_id))
            await becomes(lambda: is_empty(queue))
            assert worker.totals.completed == 10

    asyncio.run(scenario())
    assert set(ledger.done.values()) == {1}
    # Each message was delivered once, and its lock kept.
    assert queue.counts["abandoned"] == 0


def test_messages_of_a_stage_that_is_withdrawn_are_completed_and_not_run(
    client: Client, queue: Queue, worker_of: Callable[..., Worker]
) -> None:
    told = client.provisional_stage(4)
    deliver(queue, PublishedStage(told.job_id, 1, client.batch_messages(client.claim())))
    ledger = Ledger()

    async def scenario() -> None:
        async with working(worker_of(ledger)) as worker:
            await becomes(lambda: queue.counts["locked"] == 4)
            client.withdraw_stage(told.job_id)
            await becomes(lambda: is_empty(queue))
            await becomes(lambda: worker.totals.passed_over == 4)

    asyncio.run(scenario())
    assert not ledger.done
    assert queue.counts["completed"] == 4
    assert queue.counts["dead_lettered"] == 0


def test_a_worker_keeps_locks_longer_than_they_last(client: Client, worker_url: str) -> None:
    lock = 5.0
    told = client.provisional_stage(4)
    claim = client.claim()
    ledger = Ledger()

    async def scenario(queue: Queue) -> None:
        worker = Worker(worker_url, queue.connection_string, ledger, queue=queue.name)
        async with working(worker):
            await becomes(lambda: queue.counts["locked"] == 4)
            begun = time.monotonic()
            await becomes(lambda: time.monotonic() > begun + 1.5 * lock)
            client.finish_batch(claim)
            await becomes(lambda: ended(client, told.job_id))
            await becomes(lambda: is_empty(queue))

    with run_endpoint(["kept"], arguments=["--lock-duration", str(lock)]) as endpoint:
        queue = Queue(endpoint, "kept")
        deliver(queue, PublishedStage(told.job_id, 1, client.batch_messages(claim)))
        asyncio.run(scenario(queue))
        assert set(ledger.done.values()) == {1}
        assert queue.counts["completed"] == 4
        assert queue.counts["lock_expired"] == 0


def test_a_worker_that_keeps_as_many_as_it_may_asks_on_and_receives_no_more(
    client: Client, queue: Queue, worker_of: Callable[..., Worker],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("bridge.worker.KEPT_BATCHES", 2)
    told = client.provisional_stage(7)
    claim = client.claim()
    deliver(queue, PublishedStage(told.job_id, 1, client.batch_messages(claim)))
    ledger = Ledger()

    async def scenario() -> None:
        async with working(worker_of(ledger, batch_size=2)):
            await becomes(lambda: queue.counts["locked"] >= 4)
            assert queue.counts["active"] > 0
            client.finish_batch(claim)
            await becomes(lambda: ended(client, told.job_id))
            await becomes(lambda: is_empty(queue))

    asyncio.run(scenario())
    assert set(ledger.done.values()) == {1}


def test_a_settlement_that_nobody_answers_costs_the_link_and_no_task(
    client: Client,
    bridge_url: str,
    worker_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The SDK alone would wait for a minute.
    monkeypatch.setattr("bridge.settling.SETTLE_DEADLINE", 0.5)
    ledger = Ledger()
    with run_endpoint(["mute"], arguments=["--lock-duration", str(SHORT_LOCK)]) as endpoint:
        queue = Queue(endpoint, "mute")
        client.set_destination("tasks", entity=queue.name)
        job_id = create_stage(client, 20)
        given = Settings(
            database_url=bridge_url,
            servicebus_connection_string=queue.connection_string,
            allow_fsync_off=True,
            poll=0.2,
        )
        endpoint.faults.set(name="mute", on="settle", do="never", store=False, entity="mute")
        worker = Worker(worker_url, queue.connection_string, ledger, queue=queue.name)

        async def scenario() -> None:
            async with running(given), working(worker):
                await becomes(lambda: ended(client, job_id))
                await becomes(lambda: queue.counts["stored"] == 20 and is_empty(queue))

        asyncio.run(scenario())
        assert endpoint.faults.list()[0]["done"] == 1
    assert sorted(ledger.done.values()) == [1] * 20
    assert worker.totals.completed == 20


@pytest.mark.parametrize("swept", [False, True], ids=["taken over", "swept"])
def test_the_tasks_of_a_killed_worker_are_completed_by_another(
    client: Client,
    short_locks: RunningEndpoint,
    bridge_url: str,
    worker_url: str,
    tmp_path: Path,
    swept: bool,
) -> None:
    queue = Queue(short_locks, "short-2" if swept else "short-1")
    client.set_destination("tasks", entity=queue.name)
    job_id = create_stage(client, 5, timeout=timedelta(seconds=1))
    file = tmp_path / "started"
    given = Settings(
        database_url=bridge_url,
        servicebus_connection_string=queue.connection_string,
        allow_fsync_off=True,
        poll=0.2,
    )

    async def publish() -> None:
        async with running(given):
            await becomes(lambda: all_queued(client))

    asyncio.run(publish())
    victim = subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.bridge.blocked_worker", worker_url),
            *(queue.connection_string, queue.name, str(file)),
        ],
        cwd=_PROJECT,
    )
    try:
        eventually(lambda: client.task_states(job_id) == {"processing": 5})
    finally:
        victim.kill()
        victim.wait()
    ledger = Ledger()

    async def scenario() -> None:
        if swept:
            # Nobody takes over in time: the sweep makes the next attempt of each.
            client.advance(timedelta(minutes=1))
        async with running(given):
            if swept:
                await becomes(lambda: queue.stored == 10)
            async with working(
                Worker(worker_url, queue.connection_string, ledger, queue=queue.name)
            ):
                await becomes(lambda: ended(client, job_id))
                await becomes(lambda: is_empty(queue))

    asyncio.run(scenario())
    assert sorted(ledger.done.values()) == [1] * 5
    attempts = set(client.column("select attempt from stagebus.tasks where job_id = %s", job_id))
    assert attempts == ({2} if swept else {1})
    assert completed(client, job_id) == 5
    assert client.count("running_attempts") == 0
    assert queue.counts["dead_lettered"] == 0


def test_a_database_that_restarts_while_tasks_are_worked_on_loses_nothing(
    own_server: OwnServer, empty_queue: Queue
) -> None:
    url = own_server.new_database()
    queue = empty_queue
    ledger = Ledger(blocked=True)
    with Client(url) as client:
        published = client.published_stage(50)
        job_id = published.job_id
    deliver(queue, published)

    async def scenario() -> None:
        worker = Worker(
            as_login(url, WORKER_LOGIN),
            queue.connection_string,
            ledger,
            queue=queue.name,
            batch_size=30,
        )
        async with working(worker):
            await becomes(lambda: ledger.calls)
            own_server.postgres.stop()
            ledger.go_on.set()
            await becomes(lambda: ledger.done)
            own_server.postgres.start()
            with Client(url) as client:
                await becomes(lambda: ended(client, job_id))
            await becomes(lambda: queue.counts["completed"] == 50)
            assert worker.totals.completed == 50

    asyncio.run(scenario())
    assert len(ledger.done) == 50
    assert set(ledger.done.values()) == {1}
    with Client(url) as client:
        assert completed(client, job_id) == 50
        assert client.stage(job_id).status == "completed"


def test_an_answer_that_is_lost_neither_runs_nor_counts_a_task_twice(
    client: Client, queue: Queue, worker_url: str, database_gate: Gate
) -> None:
    published = client.published_stage(20)
    deliver(queue, published)
    ledger = Ledger(blocked=True)

    async def scenario() -> None:
        worker = Worker(
            through_gate(worker_url, database_gate),
            queue.connection_string,
            ledger,
            queue=queue.name,
        )
        async with working(worker):
            await becomes(lambda: client.task_states(published.job_id).get("processing"))
            database_gate.hold_answers()
            ledger.go_on.set()
            # They are complete, and the worker does not hear it.
            await becomes(lambda: completed(client, published.job_id))
            database_gate.cut()
            database_gate.open()
            await becomes(lambda: queue.counts["completed"] == 20)
            assert worker.totals.completed == 20

    asyncio.run(scenario())
    assert sorted(ledger.done.values()) == [1] * 20
    assert ended(client, published.job_id)


def test_a_worker_can_be_stopped_while_the_database_is_away(
    client: Client, queue: Queue, worker_url: str, database_gate: Gate
) -> None:
    deliver(queue, client.published_stage(5))
    ledger = Ledger(blocked=True)

    async def scenario() -> None:
        worker = Worker(
            through_gate(worker_url, database_gate),
            queue.connection_string,
            ledger,
            queue=queue.name,
        )
        async with working(worker):
            await becomes(lambda: ledger.calls)
            database_gate.refuse()
            ledger.go_on.set()
            await becomes(lambda: ledger.done)

    asyncio.run(scenario())
    # The messages are still locked: they come again when the locks end.
    assert queue.counts["completed"] == 0


def test_a_worker_waits_for_a_broker_that_is_away_and_goes_on(
    client: Client, worker_url: str
) -> None:
    ledger = Ledger()

    async def scenario() -> None:
        with run_endpoint() as first:
            port = Queue(first, "tasks").port
            connection_string = first.connection_string
            deliver(Queue(first, "tasks"), client.published_stage(5))
            worker = Worker(worker_url, connection_string, ledger, batch_size=5)
            work = asyncio.create_task(worker.run())
            await becomes(lambda: len(ledger.done) == 5)
        try:
            with run_endpoint(arguments=["--port", str(port)]) as second:
                deliver(Queue(second, "tasks"), client.published_stage(5))
                await becomes(lambda: len(ledger.done) == 10, within=40)
                await becomes(lambda: is_empty(Queue(second, "tasks")))
                worker.stop()
                await asyncio.wait_for(work, 20)
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    asyncio.run(scenario())
    assert set(ledger.done.values()) == {1}
