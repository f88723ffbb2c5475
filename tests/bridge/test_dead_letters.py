"""Dead letters over a real endpoint: all come home, once, whatever becomes of a bridge."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from azure.servicebus import ServiceBusClient as BlockingClient
from azure.servicebus import ServiceBusMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient

from bridge import dead_letters
from bridge.local.endpoint.process import RunningEndpoint, run_endpoint
from bridge.relay import Relay
from bridge.settings import Settings
from tests.bridge.conftest import (
    LOSES_CONNECTIONS,
    Queue,
    close_meanwhile,
    create_stage,
    running,
)
from tests.client import Client
from tests.eventually import becomes

pytestmark = LOSES_CONNECTIONS

Make = Callable[..., Settings]
Log = pytest.LogCaptureFixture

DELIVERIES = 3
LOCK = 1.0


@pytest.fixture(scope="module")
def endpoint() -> Iterator[RunningEndpoint]:
    """One that gives a message up after three deliveries, and whose locks end soon."""
    queues = [f"tasks-{number}" for number in range(1, 300)]
    arguments = ["--lock-duration", str(LOCK), "--max-delivery-count", str(DELIVERIES)]
    with run_endpoint(queues, arguments=arguments) as started:
        yield started


@pytest.fixture(autouse=True)
def looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "FIRST_LOOK", 0.0)


@pytest.fixture
def log(caplog: Log) -> Log:
    caplog.set_level("INFO", "stagebus.dead_letters")
    return caplog


def buried(client: Client, queue: Queue, tasks: int = 1) -> None:
    """So many tasks with a second attempt, whose messages are dead letters."""
    client.set_task_type("tiles", max_attempts=2, retry_delay="1 hour", max_retry_delay="1 hour")
    published = client.published_stage(tasks, "tiles")
    queue.send(
        [
            ServiceBusMessage(each.body, message_id=each.message_id, application_properties={})
            for each in published.messages
        ]
    )
    queue.bury(tasks)


def outcomes(client: Client) -> list[str]:
    return client.column("select outcome from stagebus.dead_letters order by sequence_number")


def told(log: Log, event: str) -> list[str]:
    return [
        record.__dict__["stagebus_fields"].get("error", "")
        for record in log.records
        if record.getMessage() == event
    ]


async def work(client: Client, queue: Queue, tasks: int) -> float:
    """Gives the last ten of 1,000 back in their first attempt; returns when the last one died."""
    token, ended = uuid4(), 0
    async with (
        ServiceBusClient.from_connection_string(queue.connection_string) as broker,
        broker.get_queue_receiver(queue.name) as receiver,
    ):
        while ended < tasks:
            for message in await receiver.receive_messages(20, max_wait_time=1):
                task = json.loads(b"".join(message.body))
                if task["task_index"] <= 990 or task["attempt"] > 1:
                    client.start_task(task["task_id"], task["attempt"], task["nonce"], token)
                    client.complete_task(task["task_id"], token)
                    await receiver.complete_message(message)
                    ended += 1
                else:
                    await receiver.abandon_message(message)
                    ended += message.delivery_count == DELIVERIES - 1
        return time.monotonic()


def test_the_dead_letters_of_a_run_are_home_in_5_seconds_and_redriven_once(
    client: Client, queue: Queue, settings: Make
) -> None:
    job_id = create_stage(client, 1000, max_attempts=1)

    async def scenario() -> float:
        async with running(settings()):
            dead_at = await work(client, queue, 1000)
            await becomes(lambda: client.task_states(job_id).get("failed") == 10)
            home_after = time.monotonic() - dead_at
            assert outcomes(client) == ["failed"] * 10
            for _ in range(2):
                client.order("redrive", job_id, 1)
            await work(client, queue, 10)
            await becomes(lambda: client.task_states(job_id) == {"completed": 1000})
            return home_after

    assert asyncio.run(scenario()) < 5
    assert queue.dead == 0
    assert queue.stored == 1010, "each went out once more, and once"
    assert client.stage(job_id).status == "completed"
    assert client.recount(job_id) == []


def test_two_bridges_at_once_bring_each_home_once(
    client: Client, queue: Queue, settings: Make
) -> None:
    buried(client, queue, 50)

    async def scenario() -> None:
        async with running(settings()), running(settings()):
            await becomes(lambda: queue.dead == 0)

    asyncio.run(scenario())
    assert outcomes(client) == ["retry_wait"] * 50
    assert client.value("select max(attempt) from stagebus.tasks") == 2


def test_what_is_not_ours_stays_there_whole_and_in_nobodys_way(
    client: Client, queue: Queue, settings: Make
) -> None:
    foreign = [
        ServiceBusMessage(f"secret {number}", message_id=f"theirs-{number}")
        for number in range(2 * dead_letters.PAGE)
    ]
    queue.send(foreign)
    queue.bury(len(foreign), text="secret, too")
    buried(client, queue)

    async def scenario() -> None:
        async with running(settings()):
            await becomes(lambda: "retry_wait" in outcomes(client))
            await becomes(lambda: queue.dead == len(foreign))

    asyncio.run(scenario())
    rows = client.rows("select * from stagebus.dead_letters where outcome = 'not_ours'")
    assert len(rows) == len(foreign)
    assert {(row.reason, row.description) for row in rows} == {("a reason", None)}
    assert "secret" not in str(rows)
    (one,) = (row for row in rows if row.message_id == "theirs-7")
    assert one.body_bytes == len("secret 7")
    broker = BlockingClient.from_connection_string(queue.connection_string)
    receiver = broker.get_queue_receiver(queue.name, sub_queue=ServiceBusSubQueue.DEAD_LETTER)
    (message,) = receiver.receive_deferred_messages(one.sequence_number)
    close_meanwhile(receiver, broker)
    assert b"".join(message.body) == b"secret 7"


@pytest.mark.parametrize(
    "properties", [{"DeadLetterReason": 7}, {"DeadLetterErrorDescription": "nul \0"}, {}]
)
def test_any_reason_can_be_kept(
    client: Client, queue: Queue, settings: Make, properties: dict[str | bytes, int | str]
) -> None:
    """One that the dead letter was given before it was dead, by whoever sent it."""
    queue.send([ServiceBusMessage(b"x", message_id="\0", application_properties=properties)])  # type: ignore[arg-type]
    client_ = BlockingClient.from_connection_string(queue.connection_string)
    receiver = client_.get_queue_receiver(queue.name)
    for message in receiver.receive_messages(1, max_wait_time=5):
        receiver.dead_letter_message(message)
    close_meanwhile(receiver, client_)

    async def scenario() -> None:
        async with running(settings()):
            await becomes(lambda: outcomes(client) == ["not_ours"])

    asyncio.run(scenario())


def test_without_the_right_to_listen_it_publishes_and_says_so_once(
    client: Client, queue: Queue, settings: Make, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "LONGEST_DELAY", 0.05)
    dead = f"{queue.name}/$DeadLetterQueue"
    queue.endpoint.faults.set(
        name=queue.name, on="attach", do="refuse", entity=dead, times=None
    )  # fmt: skip
    create_stage(client, 100)

    async def scenario() -> None:
        async with running(settings()):
            await becomes(lambda: queue.stored == 100)
            refused = queue.endpoint.counts()["faults_done"]
            await becomes(
                lambda: (
                    queue.endpoint.counts()["faults_done"][queue.name] >= refused[queue.name] + 3
                )
            )
            assert len(told(log, "dead_letters.refused")) == 1
            assert "unauthorized" in told(log, "dead_letters.refused")[0].casefold()
            # The right is given to it.
            queue.endpoint.faults.remove(queue.name)
            buried(client, queue)
            await becomes(lambda: outcomes(client) == ["retry_wait"])

    asyncio.run(scenario())


def test_it_comes_back_with_the_broker(
    client: Client, queue: Queue, settings: Make, log: Log
) -> None:
    async def scenario() -> None:
        async with running(settings()):
            waits = f"{queue.name}/$DeadLetterQueue"
            await becomes(
                lambda: queue.endpoint.counts()["entities"][waits]["waiting_receivers"] == 1
            )
            queue.endpoint.cut_connections()
            buried(client, queue)
            await becomes(lambda: outcomes(client) == ["retry_wait"])

    asyncio.run(scenario())
    assert len(told(log, "dead_letters.waiting")) <= 1
    assert told(log, "dead_letters.crashed") == []


def test_switched_off_it_opens_nothing(client: Client, queue: Queue, settings: Make) -> None:
    create_stage(client, 10)
    before = queue.endpoint.counts()["process"]["connections_made"]
    connected = "select application_name from pg_stat_activity where datname = current_database()"

    async def scenario() -> None:
        async with running(settings(dead_letters=False, connections=1)):
            await becomes(lambda: queue.stored == 10)
            # What is begun at the same time has begun.
            await becomes(lambda: "stagebus advancing" in client.column(connected))
            assert "stagebus dead-letters" not in client.column(connected)

    asyncio.run(scenario())
    assert queue.endpoint.counts()["process"]["connections_made"] == before + 1


def test_a_bridge_that_is_stopped_as_it_begins_ends(
    settings: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its look at the database, and before anything is begun that could be ended."""

    async def scenario() -> None:
        relay = Relay(settings())
        look = relay.wait_for_database

        async def stopped_meanwhile() -> bool:
            found = await look()
            relay.stop()
            return found

        monkeypatch.setattr(relay, "wait_for_database", stopped_meanwhile)
        async with asyncio.timeout(30):
            await relay.run()

    asyncio.run(scenario())


def test_a_reader_that_forgets_that_it_was_cancelled_is_told_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dead_letters, "END_AGAIN", 0.01)

    async def scenario() -> int:
        told = 0

        async def deaf() -> None:
            nonlocal told
            while told < 3:
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    told += 1

        reader = asyncio.create_task(deaf())
        await asyncio.sleep(0)
        await dead_letters._end([reader])
        return told

    assert asyncio.run(scenario()) == 3
