"""A broker that is not there, says nothing, says nonsense, or does not know the entity."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from bridge.errors import BrokerUnavailable
from bridge.local.endpoint.process import run_endpoint
from bridge.publisher import Publisher
from bridge.settings import Settings
from tests.bridge.conftest import (
    LOSES_CONNECTIONS,
    Queue,
    all_queued,
    assert_ledger_is_whole,
    create_stage,
    running,
    sends_of,
    states,
    through,
)
from tests.bridge.gate import Gate
from tests.client import Client
from tests.eventually import becomes

pytestmark = LOSES_CONNECTIONS

Make = Callable[..., Settings]
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]


@pytest.fixture
def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def read_and_say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while await reader.read(65536):
            pass
    finally:
        writer.close()


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def talk_nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    await read_and_say_nothing(reader, writer)


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[int]:
    """A server of that behaviour; its port."""
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def test_a_bridge_waits_for_a_broker_that_is_not_up_yet(
    client: Client, queue: Queue, settings: Make, free_port: int
) -> None:
    client.set_destination("tasks", entity="tasks")
    job_id = create_stage(client, 200, batch_size=50)

    async def scenario() -> None:
        given = settings(
            servicebus_connection_string=through(queue.connection_string, free_port), connections=2
        )
        async with running(given):
            await becomes(
                lambda: client.value(
                    "select count(*) from stagebus.batches where last_error is not null"
                )
            )
            # No send was begun, and the broker's absence is no fault of the batch.
            assert client.count("sends") == 0
            assert set(client.column("select publish_attempts from stagebus.batches")) == {0}
            (error,) = set(
                client.column(
                    "select last_error from stagebus.batches where last_error is not null"
                )
            )
            assert "ServiceBusConnectionError" in error
            with run_endpoint(arguments=["--port", str(free_port)]) as late:
                await becomes(lambda: all_queued(client))
                assert late.counts()["entities"]["tasks"]["stored"] == 200
                assert late.counts()["entities"]["tasks"]["duplicates_dropped"] == 0

    asyncio.run(scenario())
    assert set(client.column("select publish_attempts from stagebus.batches")) == {0}
    assert_ledger_is_whole(client, job_id)


@pytest.mark.parametrize("answer", [read_and_say_nothing, hang_up, talk_nonsense])
def test_a_broker_that_opens_no_link_costs_no_attempt_and_no_more_than_the_deadline(
    client: Client, queue: Queue, settings: Make, answer: Answer
) -> None:
    create_stage(client, 10)

    async def scenario() -> None:
        async with serving(answer) as port:
            given = settings(
                servicebus_connection_string=through(queue.connection_string, port),
                send_deadline=0.5,
                lease=30,
            )
            began = time.monotonic()
            async with running(given):
                await becomes(
                    lambda: client.value("select bool_and(last_error > '') from stagebus.batches"),
                    within=8,
                )
            assert time.monotonic() - began < 12

    asyncio.run(scenario())
    assert client.count("sends") == 0
    assert states(client) == {"pending_queue": 1}
    assert client.column("select publish_attempts from stagebus.batches") == [0]


def test_a_send_that_nobody_answers_is_unknown_after_the_deadline_and_then_repeated(
    client: Client, queue: Queue, gated: Make, gate: Gate
) -> None:
    job_id = create_stage(client, 20)
    attempts = "select publish_attempts from stagebus.batches order by 1"

    async def scenario() -> None:
        async with running(gated(send_deadline=1.0, lease=30, connections=1)):
            await becomes(lambda: all_queued(client))
            # The link stays open; from here on the broker hears and is not heard.
            gate.hold_answers()
            create_stage(client, 20, task_type="shapes")
            await becomes(lambda: sends_of(client, "unknown") == 1, within=6)
            # The ledger is written first, then the batch is given back.
            await becomes(lambda: states(client) == {"queued": 1, "pending_queue": 1})
            assert client.column(attempts) == [0, 1]
            # What was held back belongs to the connection that the bridge has given up.
            gate.open()
            await becomes(lambda: all_queued(client))

    asyncio.run(scenario())
    (unknown,) = client.rows("select * from stagebus.sends where outcome = 'unknown'")
    assert unknown.error == "no answer within 1 seconds"
    assert (unknown.first_index, unknown.last_index, unknown.messages) == (1, 20, 20)
    assert client.column(attempts) == [0, 0], "an accepted send is progress"
    # It had arrived: the repeat has the same ids, and the broker drops it.
    assert queue.stored == 40
    assert queue.counts["duplicates_dropped"] == 20
    assert_ledger_is_whole(client, job_id)


def test_a_batch_for_an_unknown_entity_waits_visibly_and_the_others_go_on(
    client: Client, queue: Queue, settings: Make
) -> None:
    # More batches than lanes, made before the others, and of a destination that sorts first.
    client.set_destination("a-typo", entity="there-is-no-such-queue")
    client.set_task_type("lost", destination="a-typo")
    create_stage(client, 300, batch_size=10, task_type="lost")

    async def scenario() -> None:
        async with running(settings(connections=2)):
            good = create_stage(client, 100, batch_size=10)
            await becomes(
                lambda: {batch.state for batch in client.batches(good)} == {"queued"}, within=15
            )
            await becomes(lambda: states(client) == {"queued": 10, "pending_queue": 30})

    asyncio.run(scenario())
    assert queue.stored == 100
    paused = client.destination("a-typo")
    assert paused.status == "paused"
    assert "MessagingEntityNotFound" in paused.pause_reason
    assert "there-is-no-such-queue" in paused.pause_reason
    waiting = client.rows("select * from stagebus.batches where destination = 'a-typo'")
    assert {(batch.publish_attempts, batch.sends) for batch in waiting} == {(0, 0)}

    # Put right, it goes out.
    client.set_destination("a-typo", entity=queue.name)
    client.execute("select stagebus.resume_destination('a-typo')")

    async def again() -> None:
        async with running(settings(connections=2)):
            await becomes(lambda: all_queued(client))

    asyncio.run(again())
    assert queue.stored == 400
    assert client.destination("a-typo").status == "active"


def test_a_full_queue_spends_no_attempt_of_its_batches(client: Client, settings: Make) -> None:
    create_stage(client, 100)

    async def scenario(connection_string: str) -> None:
        async with running(settings(servicebus_connection_string=connection_string)):
            await becomes(
                lambda: client.value("select bool_and(last_error > '') from stagebus.batches")
            )

    with run_endpoint(["tasks"], arguments=["--max-size-bytes", "1000"]) as small:
        client.set_destination("tasks", entity="tasks")
        asyncio.run(scenario(small.connection_string))
        assert small.counts()["entities"]["tasks"]["stored"] == 0
    (batch,) = client.rows("select * from stagebus.batches")
    assert (batch.status, batch.publish_attempts) == ("pending_queue", 0)
    assert "ServiceBusQuotaExceeded" in batch.last_error
    assert client.column("select outcome from stagebus.sends") == ["rejected"]


def test_a_link_that_was_idle_for_too_long_is_not_used_again(settings: Make, queue: Queue) -> None:
    connections = lambda: queue.endpoint.counts()["process"]["connections_made"]  # noqa: E731

    async def opened(idle_limit: float) -> int:
        publisher = Publisher(settings(), idle_limit=idle_limit)
        before = connections()
        for _ in range(2):
            await publisher.new_send(
                "queue", queue.name, max_bytes=10_000, max_messages=10, subject="tiles"
            )
        made = connections() - before
        await publisher.close()
        return made

    assert asyncio.run(opened(60.0)) == 1
    assert asyncio.run(opened(0.0)) == 2


def test_a_bridge_may_be_told_to_stop_while_a_wait_ends_whose_time_has_passed(
    settings: Make, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        publisher = Publisher(settings(send_deadline=0.05))
        given_up = asyncio.Event()

        async def ends_slowly(_: object) -> None:
            try:
                await asyncio.sleep(60)
            finally:
                given_up.set()
                await asyncio.sleep(0.05)

        monkeypatch.setattr(publisher._links, "get", ends_slowly)
        opening = asyncio.create_task(
            publisher.new_send("queue", queue.name, max_bytes=10_000, max_messages=10, subject="")
        )
        await given_up.wait()
        publisher.hurry(5.0)
        with pytest.raises(BrokerUnavailable, match=r"no answer within 0\.05 seconds"):
            await opening

    asyncio.run(scenario())
