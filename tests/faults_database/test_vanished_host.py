"""A database whose packets are swallowed, or whose answers take too long: noticed, and gone on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar
from uuid import uuid4

import pytest

from bridge import batch, connection, lease
from bridge.contracts.tasks import TaskQueueMessage
from bridge.database import Database
from bridge.errors import CallTimedOut, DatabaseUnavailable
from bridge.house_keeping import HouseKeeping
from bridge.session import Session
from bridge.task_calls import Asked, TaskCalls
from bridge.witness import Witness
from tests.bridge.conftest import (
    LOSES_CONNECTIONS,
    all_queued,
    create_stage,
    running,
    sends_of,
    through_gate,
)
from tests.bridge.gate import Gate
from tests.client import Client, PublishedStage
from tests.eventually import becomes
from tests.faults_database.conftest import Bus, assert_delivered

pytestmark = LOSES_CONNECTIONS

#: Seconds within which a call must have failed.
NOTICED = 20.0


S = TypeVar("S", bound=Session)


def new(calls: type[S], url: str) -> S:
    return calls(url, "test", Witness(uuid4()), allow_fsync_off=True)


def vanish(gate: Gate) -> None:
    """Nothing is forwarded any more; the proxy's kernel still acknowledges what it is sent."""
    gate.hold_questions()
    gate.hold_answers()


def lost(caplog: pytest.LogCaptureFixture) -> set[str]:
    """The parts of the bridge that have noticed."""
    return {
        record.name
        for record in caplog.records
        if record.getMessage() in ("database.unavailable", "listener.lost")
    }


@pytest.mark.starts_first
def test_every_part_of_a_bridge_notices_a_vanished_host_and_goes_on_once_it_is_back(
    client: Client,
    bridge_url: str,
    database_gate: Gate,
    bus: Bus,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With the deadlines of every bridge: nothing is shortened here."""
    caplog.set_level("DEBUG", "stagebus")
    client.set_destination("tasks", max_send_messages=5)

    async def scenario() -> None:
        async with running(bus.settings(through_gate(bridge_url, database_gate))):
            # One batch: the other lane is free, and so the relay goes on asking.
            job_id = create_stage(client, 1000, batch_size=1000)
            await becomes(lambda: sends_of(client) >= 5)
            vanish(database_gate)
            assert not all_queued(client)
            assert not lost(caplog)
            everyone = {f"stagebus.{part}" for part in ("relay", "lane", "maintenance", "listener")}
            await becomes(lambda: lost(caplog) >= everyone, NOTICED)
            # What was held comes late: calls that their bridge has given up.
            database_gate.open()
            await becomes(lambda: all_queued(client))
        assert_delivered(client, bus, [job_id])

    asyncio.run(scenario())


CLAIM = batch.Claim(
    job_id=uuid4(), batch_id=uuid4(), stage=1, claim_epoch=1, dispatch=1, task_type="tiles",
    entity_kind="queue", entity="tasks", max_send_bytes=1000, max_send_messages=10,
    published_through=0, last_index=9, average_body_bytes=100, atomic=False,
)  # fmt: skip
RECORD = batch.SendRecord(
    first_index=1, last_index=9, messages=9, size=900, seconds=0.1, outcome="accepted", error=None
)

CALLS: dict[str, Callable[[Database], Coroutine[Any, Any, Any]]] = {
    "check_api": lambda database: database.check_api(),
    "check_server": lambda database: database.check_server(),
    "claim_batches": lambda database: database.claim_batches(1, 60, everything=True),
    "batch_messages": lambda database: database.batch_messages(CLAIM, 0, 10),
    "record_send": lambda database: database.record_send(CLAIM, RECORD, 60),
    "record_last_send": lambda database: database.record_last_send(CLAIM, RECORD, 60),
    "finish_batch": lambda database: database.finish_batch(CLAIM),
    "fail_batch": lambda database: database.fail_batch(CLAIM, "reason", 3),
    "extend_lease": lambda database: database.extend_lease(CLAIM, 60),
}
DUTIES: dict[str, Callable[[HouseKeeping], Coroutine[Any, Any, Any]]] = {
    "maintain": lambda database: database.maintain(10),
    "work_order": lambda database: database.work_order(1, 10),
    "fail_order_step": lambda database: database.fail_order_step(1, "reason"),
    "due_jobs": lambda database: database.due_jobs(1, []),
}


def test_every_call_has_a_deadline(
    bridge_url: str, database_gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CALL_DEADLINE", 0.3)
    monkeypatch.setattr(connection, "CANCEL_PATIENCE", 0.1)

    async def scenario() -> None:
        url = through_gate(bridge_url, database_gate)
        databases = {name: new(Database, url) for name in CALLS}
        house_keepers = {name: new(HouseKeeping, url) for name in DUTIES}
        await asyncio.gather(
            *(database.check_api() for database in databases.values()),
            *(each.due_jobs(1, []) for each in house_keepers.values()),
        )
        vanish(database_gate)
        began = time.monotonic()
        outcomes = await asyncio.gather(
            *(call(databases[name]) for name, call in CALLS.items()),
            *(call(house_keepers[name]) for name, call in DUTIES.items()),
            return_exceptions=True,
        )
        assert time.monotonic() - began < 5
        assert {type(outcome) for outcome in outcomes} == {CallTimedOut}
        database_gate.cut()
        database_gate.open()
        await asyncio.gather(*(database.check_api() for database in databases.values()))
        sessions = [*databases.values(), *house_keepers.values()]
        await asyncio.gather(*(each.close() for each in sessions))

    asyncio.run(scenario())


def test_a_call_that_is_cancelled_while_it_hangs_is_over_as_cancelled(
    bridge_url: str, database_gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver would first wait for the server's answer."""
    monkeypatch.setattr(connection, "CALL_DEADLINE", 0.5)

    async def scenario() -> None:
        database = new(Database, through_gate(bridge_url, database_gate))
        await database.check_api()
        vanish(database_gate)
        call = asyncio.create_task(database.check_api())
        await becomes(lambda: database_gate.held_questions > 0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(call, NOTICED)
        await database.close()

    asyncio.run(scenario())


def test_a_connection_that_is_not_answered_has_a_deadline_too(
    bridge_url: str, database_gate: Gate
) -> None:
    vanish(database_gate)
    database = new(Database, f"{through_gate(bridge_url, database_gate)} connect_timeout=2")
    with pytest.raises(DatabaseUnavailable, match="timeout"):
        asyncio.run(database.check_api())


def test_a_call_that_waits_behind_a_lock_is_given_up_and_leaves_no_backend_behind(
    client: Client, bridge_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise each repetition would leave one more, until the server takes no connection."""
    monkeypatch.setattr(connection, "CALL_DEADLINE", 0.3)
    create_stage(client, 10)
    database = new(Database, bridge_url)

    async def scenario() -> None:
        (claim,) = await database.claim_batches(1, 60, everything=True)
        with client.transaction():
            client.execute("select from stagebus_data.batches for update")
            for _ in range(3):
                with pytest.raises(CallTimedOut, match=r"no answer within 0\.3 seconds"):
                    await database.extend_lease(claim, 60)
            with Client(client.url) as other:
                await becomes(
                    lambda: (
                        not other.value(
                            "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
                            " and datname = current_database()"
                        )
                    )
                )
        assert await database.extend_lease(claim, 60)
        await database.close()

    asyncio.run(scenario())


def test_a_bridge_can_be_stopped_while_its_database_has_vanished(
    client: Client,
    bridge_url: str,
    database_gate: Gate,
    bus: Bus,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No call that hangs, and none that is cancelled while it hangs, holds it up."""
    monkeypatch.setattr(connection, "CALL_DEADLINE", 1.0)
    monkeypatch.setattr(lease, "DRAIN_PATIENCE", 1.0)
    client.set_destination("tasks", max_send_messages=5)
    given = bus.settings(f"{through_gate(bridge_url, database_gate)} connect_timeout=2", lease=30)

    async def scenario() -> float:
        async with running(given):
            create_stage(client, 1000)
            await becomes(lambda: sends_of(client) >= 5)
            vanish(database_gate)
            began = time.monotonic()
        return time.monotonic() - began

    # A call's deadline, the lanes' patience, and a connection on its way.
    assert asyncio.run(scenario()) < 8


def test_a_workers_calls_have_a_deadline_and_are_made_again(
    client: Client, database_url: str, database_gate: Gate, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr(connection, "CALL_DEADLINE", 0.3)
    monkeypatch.setattr(connection, "CANCEL_PATIENCE", 0.1)
    published = client.published_stage(tasks=1)
    token = uuid4()

    async def scenario() -> None:
        calls = TaskCalls(through_gate(database_url, database_gate), asyncio.Event())
        assert await calls.heartbeat_tasks([], token) == set()
        vanish(database_gate)
        starting = asyncio.create_task(calls.start_tasks([asked(published)], token, "worker"))
        await becomes(lambda: "no answer within 0.3 seconds" in reasons(caplog))
        assert not starting.done()
        database_gate.cut()
        database_gate.open()
        (answer,) = await starting
        assert answer.verdict == "run"
        await calls.close()

    asyncio.run(scenario())


def asked(published: PublishedStage) -> Asked:
    (message,) = published.messages
    task = TaskQueueMessage.model_validate_json(message.body)
    return Asked(task.task_id, task.attempt, task.nonce, task.task_type)


def reasons(caplog: pytest.LogCaptureFixture) -> set[str]:
    return {
        str(record.stagebus_fields["error"])
        for record in caplog.records
        if record.getMessage() == "database.unavailable"
    }
