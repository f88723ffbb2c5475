"""Each answer of the broker that is no acceptance: what becomes of batch and destination."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest

from bridge.lane import TOO_BIG
from bridge.publisher import Publisher
from bridge.send import Send
from bridge.settings import Settings
from tests.bridge.conftest import (
    LOSES_CONNECTIONS,
    Queue,
    all_queued,
    running,
)
from tests.client import Client
from tests.eventually import becomes

pytestmark = LOSES_CONNECTIONS

Make = Callable[..., Settings]


@pytest.fixture
def fault(queue: Queue) -> Iterator[Callable[..., None]]:
    """Sets a fault on the sends to this test's queue."""

    def set_fault(**fields: Any) -> None:
        queue.endpoint.faults.set(name=f"{queue.name}-{len(names)}", entity=queue.name, **fields)
        names.append(f"{queue.name}-{len(names)}")

    names: list[str] = []
    yield set_fault
    for name in {each["fault"]["name"] for each in queue.endpoint.faults.list()} & {*names}:
        queue.endpoint.faults.remove(name)


def publish(client: Client, settings: Settings) -> None:
    async def scenario() -> None:
        async with running(settings):
            await becomes(lambda: all_queued(client), within=30)

    asyncio.run(scenario())


def stage(client: Client, tasks: int, batch_size: int = 1000) -> UUID:
    client.set_task_type("tiles", batch_size=batch_size)
    job_id = client.create_job()
    client.create_stage_tasks(job_id, 1, "tiles", tasks)
    return job_id


def failed_tasks(client: Client) -> list[Any]:
    return client.rows("select * from stagebus.tasks where status = 'failed' order by task_index")


@pytest.mark.parametrize("poison", [1, 4711, 10_000])
def test_one_poison_task_among_ten_thousand_is_found_in_a_few_sends(
    client: Client, queue: Queue, settings: Make, fault: Callable[..., None], poison: int
) -> None:
    job_id = stage(client, 10_000, batch_size=10_000)
    fault(
        do="reject",
        condition="com.microsoft:argument-error",
        description="the property is not allowed",
        holds=f"-s1-{poison}.1.",
        times=None,
    )
    publish(client, settings())
    (failed,) = failed_tasks(client)
    assert failed.task_index == poison
    assert "the property is not allowed" in failed.error
    assert queue.stored == 9_999
    assert queue.counts["duplicates_dropped"] == 0
    healthy = -(-9_999 // client.value("select max(messages) from stagebus.sends"))
    assert client.count("sends") <= healthy + 40
    assert client.column("select publish_attempts from stagebus.batches") == [0]
    assert client.recount(job_id) == []


def test_a_send_that_is_too_large_for_the_broker_goes_out_in_parts(
    client: Client, queue: Queue, settings: Make, fault: Callable[..., None]
) -> None:
    stage(client, 50)
    fault(do="reject", condition="amqp:link:message-size-exceeded", times=1)
    publish(client, settings())
    assert failed_tasks(client) == []
    assert queue.stored == 50
    outcomes = client.column("select outcome from stagebus.sends order by send_no")
    assert outcomes == ["rejected", "accepted", "accepted"]


def test_nothing_is_passed_over_when_the_link_takes_less_than_the_one_before(
    client: Client,
    queue: Queue,
    settings: Make,
    fault: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client.set_task_type("tiles")
    job_id = client.create_job()
    tasks = [{"name": "x" * (3000 if index == 30 else 100)} for index in range(1, 51)]
    client.create_stage_tasks_from_array(job_id, 1, "tiles", tasks)
    fault(do="reject", condition="amqp:link:message-size-exceeded", times=1)
    limits: list[int] = []
    new_send = Publisher.new_send

    async def shrinking(self: Publisher, *arguments: Any, max_bytes: int, **named: Any) -> Send:
        """The broker says less with every link; only the first has room for half of them."""
        limits.append(max(2500, max_bytes // 8 ** len(limits)))
        return await new_send(self, *arguments, max_bytes=limits[-1], **named)

    monkeypatch.setattr(Publisher, "new_send", shrinking)
    publish(client, settings())
    assert limits[0] > limits[1] > limits[2] > limits[3] == limits[-1]
    (failed,) = failed_tasks(client)
    assert (failed.task_index, failed.error) == (30, TOO_BIG)
    assert queue.stored == 49
    sent = client.rows(
        "select first_index, last_index from stagebus.sends where outcome = 'accepted'"
        " order by send_no"
    )
    covered = [index for send in sent for index in range(send.first_index, send.last_index + 1)]
    assert covered == [index for index in range(1, 51) if index != 30]


def test_what_is_refused_whole_waits_for_an_operator_and_fails_few_tasks(
    client: Client, queue: Queue, settings: Make, fault: Callable[..., None]
) -> None:
    job_id = stage(client, 500)
    fault(do="reject", condition="amqp:not-allowed", times=None)

    async def scenario() -> None:
        async with running(settings()):
            await becomes(lambda: client.batches(job_id)[0].state == "failed", within=30)

    asyncio.run(scenario())
    assert "too many of its tasks are refused" in client.batches(job_id)[0].last_error
    assert [task.task_index for task in failed_tasks(client)] == [1, 2, 3]
    assert queue.stored == 0


def test_an_error_that_nobody_foresaw_spends_attempts_and_then_waits_for_an_operator(
    client: Client, settings: Make, fault: Callable[..., None]
) -> None:
    job_id = stage(client, 5)
    fault(do="reject", condition="com.contoso:blue-moon", times=None)

    async def scenario() -> None:
        async with running(settings(publish_attempts=1)):
            await becomes(lambda: client.batches(job_id)[0].state == "failed", within=30)

    asyncio.run(scenario())
    assert "com.contoso:blue-moon" in client.batches(job_id)[0].last_error
    assert failed_tasks(client) == []
    assert client.task_states(job_id) == {"pending_queue": 5}


def test_a_task_at_which_the_link_is_lost_again_and_again_waits_with_its_batch_and_is_named(
    client: Client, queue: Queue, settings: Make, fault: Callable[..., None]
) -> None:
    client.set_destination("tasks", max_send_messages=5)
    job_id = stage(client, 20)
    fault(do="detach", store=False, holds="-s1-7.1.", times=None)

    async def until(condition: Callable[[], bool]) -> None:
        async with running(settings(publish_attempts=2)):
            await becomes(condition, within=30)

    def failed() -> bool:
        return bool(client.batches(job_id)[0].state == "failed")

    # Nobody knows what became of it: that fails no task, and what follows it waits, too.
    asyncio.run(until(failed))
    (batch,) = client.batches(job_id)
    assert batch.last_error.startswith("tasks 6 to 10: ")
    assert client.column("select outcome from stagebus.sends order by send_no") == [
        "accepted", "unknown", "unknown",
    ]  # fmt: skip
    assert client.task_states(job_id) == {"pending_queue": 20}
    assert queue.stored == batch.published_through == 5

    # With single sends the operator sees which it is.
    client.set_destination("tasks", max_send_messages=1)
    client.order("retry_batch", job_id, batch.batch_id)
    asyncio.run(until(failed))
    (batch,) = client.batches(job_id)
    assert batch.last_error.startswith("tasks 7 to 7: ")
    assert queue.stored == batch.published_through == 6

    queue.endpoint.faults.remove(f"{queue.name}-0")
    client.order("retry_batch", job_id, batch.batch_id)
    asyncio.run(until(lambda: all_queued(client)))
    assert (queue.stored, queue.counts["duplicates_dropped"]) == (20, 0)
    assert failed_tasks(client) == []


@pytest.mark.parametrize(
    "condition",
    ["amqp:unauthorized-access", "amqp:resource-limit-exceeded", "com.microsoft:entity-disabled"],
)
def test_a_destination_that_the_broker_refuses_pauses_and_resumes_with_a_batch_that_is_tried(
    client: Client, queue: Queue, settings: Make, fault: Callable[..., None], condition: str
) -> None:
    stage(client, 400, batch_size=10)
    fault(do="reject", condition=condition, times=4)

    async def scenario() -> None:
        async with running(settings(connections=2)):
            await becomes(lambda: client.destination().status == "paused")
            assert condition in client.destination().pause_reason
            # Its time has come; until the broker takes it, one batch at a time is tried.
            await becomes(lambda: tried_again(client), within=30)
            await becomes(lambda: all_queued(client), within=30)

    asyncio.run(scenario())
    assert client.destination().status == "active"
    assert queue.stored == 400
    assert set(client.column("select publish_attempts from stagebus.batches")) == {0}


def tried_again(client: Client) -> bool:
    """Looks whether the destination is active again, and lets it be tried now."""
    client.execute(
        "update stagebus_data.destinations set probe_at = clock_timestamp() - interval '1 s'"
        " where probe_at is not null"
    )
    return bool(client.destination().status == "active")


def test_a_throttled_destination_is_left_alone_by_all_bridges_and_nothing_is_spent(
    client: Client, queue: Queue, settings: Make, fault: Callable[..., None]
) -> None:
    stage(client, 400, batch_size=10)
    fault(do="throttle", for_seconds=3)

    async def scenario() -> None:
        async with running(settings(connections=2)), running(settings(connections=2)):
            await becomes(lambda: client.destination().throttled_until is not None)
            await becomes(lambda: all_queued(client), within=30)

    asyncio.run(scenario())
    assert queue.stored == 400
    assert set(client.column("select publish_attempts from stagebus.batches")) == {0}
    # Four lanes ask at once, and then nobody for two seconds.
    refused = client.value("select count(*) from stagebus.sends where outcome = 'rejected'")
    assert 1 <= refused <= 4 * 3


def test_a_send_is_unknown_when_the_token_expires_before_its_answer(
    client: Client, queue: Queue, settings: Make, fault: Callable[..., None]
) -> None:
    """The SDK then raises the same error as for a token that the broker refuses."""
    stage(client, 10)
    fault(do="late", seconds=20)

    async def scenario() -> None:
        expires = int(time.time()) + 4
        signature = f"SharedAccessSignature sr=x&sig=x&skn=x&se={expires}"
        endpoint, _, _ = queue.endpoint.connection_string.partition(";")
        expiring = f"{endpoint};SharedAccessSignature={signature};UseDevelopmentEmulator=true"
        async with running(settings(servicebus_connection_string=expiring)):
            await becomes(lambda: client.count("sends") >= 1)

    asyncio.run(scenario())
    send, *_ = client.rows("select * from stagebus.sends order by send_no")
    assert "CBS Authentication Expired" in send.error
    assert send.outcome == "unknown"
    publish(client, settings())
    assert (queue.stored, queue.counts["duplicates_dropped"]) == (10, 10)


@pytest.mark.parametrize("do", ["release", "modify", "drop_before", "drop_after"])
def test_what_nobody_can_tell_is_unknown_and_sent_again_with_the_same_ids(
    client: Client, queue: Queue, settings: Make, fault: Callable[..., None], do: str
) -> None:
    stage(client, 50)
    fault(do=do, times=1)
    publish(client, settings(send_deadline=1.0, lease=30.0))
    assert client.column("select outcome from stagebus.sends order by send_no") == [
        "unknown",
        "accepted",
    ]
    assert queue.stored == 50
    assert queue.counts["duplicates_dropped"] == (50 if do == "drop_after" else 0)
    assert client.column("select publish_attempts from stagebus.batches") == [0]
