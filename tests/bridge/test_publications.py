"""Publish and confirm, with bridges and workers: yes, or no and nothing left, whoever is killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from bridge.client import Publication, publish_and_wait_async, wait_for_publication
from bridge.settings import Settings
from bridge.worker import Worker
from tests.bridge.conftest import LOSES_CONNECTIONS, Queue, create_stage, running
from tests.bridge.test_refused_sends import fault  # noqa: F401
from tests.bridge.test_worker import Ledger, ended, is_empty, working
from tests.client import Client
from tests.eventually import becomes, eventually

pytestmark = LOSES_CONNECTIONS

Make = Callable[..., Settings]
Fault = Callable[..., None]

_PROJECT = Path(__file__).resolve().parents[2]

#: Of a bridge that is killed, so that the next does not wait long for its leases.
SHORT = ("--lease", "1.2", "--send-deadline", "1", "--poll", "0.2", "--connections", "1")


@pytest.fixture
def filling(client: Client) -> UUID:
    """A job with a stage of 250 tasks in five batches that nobody has sealed."""
    client.set_task_type("tiles", batch_size=50)
    job_id = client.create_job()
    client.create_stage_tasks(job_id, 1, "tiles", 250, seal=False)
    return job_id


def published(
    client: Client, settings: Settings, url: str, job_id: UUID, timeout: float = 60
) -> Publication:
    """What the caller is told while a bridge is at work, which then cleans up."""

    async def scenario() -> Publication:
        async with running(settings):
            found = await publish_and_wait_async(url, job_id, 1, timedelta(seconds=timeout))
            await becomes(lambda: not client.column("select * from stagebus.working_orders()"))
            return found

    return asyncio.run(scenario())


def assert_nothing_is_left(client: Client, job_id: UUID, messages: int | None = None) -> None:
    tables = {
        "stages", "tasks", "task_keys", "counter_slots", "counter_groups", "batches", "sends",
        "running_attempts", "waiting_retries", "failed_tasks", "due_advances",
    }  # fmt: skip
    assert {table for table in tables if client.count(table)} == set()
    (order,) = client.rows("select * from stagebus.orders where job_id = %s", job_id)
    assert (order.action, order.status, order.tasks_done) == ("withdraw_stage", "done", 250)
    if messages is not None:
        assert order.details["messages"] == messages
    assert client.job(job_id).status == "created"


def ask_for_all(client: Client, queue: Queue, messages: int) -> set[str]:
    """The verdicts of what is on the broker."""
    bodies = [json.loads(b"".join(message.body)) for message in queue.receive(messages)]
    assert len(bodies) == messages
    answers = client.start_tasks(
        [body["task_id"] for body in bodies],
        [body["attempt"] for body in bodies],
        [body["nonce"] for body in bodies],
        uuid4(),
    )
    return {answer.verdict for answer in answers}


def test_yes(
    client: Client, queue: Queue, settings: Make, database_url: str, filling: UUID
) -> None:
    found = published(client, settings(), database_url, filling)
    assert (found.status, found.batches) == ("confirmed", 5)
    assert queue.stored == 250
    assert ask_for_all(client, queue, 250) == {"run"}
    assert client.count("orders") == 0


def test_a_task_that_the_broker_refuses_is_no(
    client: Client, queue: Queue, settings: Make, database_url: str, filling: UUID, fault: Fault  # noqa: F811
) -> None:  # fmt: skip
    fault(
        do="reject", condition="com.microsoft:argument-error", description="not allowed",
        holds="-s1-123.1.", times=None,
    )  # fmt: skip
    found = published(client, settings(), database_url, filling)
    assert found.status == "withdrawn"
    assert str(found.reason).startswith("task 123 cannot be sent: ")
    assert "not allowed" in str(found.reason)
    assert_nothing_is_left(client, filling)
    # On the way down to the task to blame parts of its send were accepted.
    assert queue.stored
    assert ask_for_all(client, queue, queue.stored) == {"ghost"}


def test_a_queue_that_does_not_exist_is_no(
    client: Client, settings: Make, database_url: str, filling: UUID
) -> None:
    client.set_destination("tasks", entity="nowhere")
    found = published(client, settings(), database_url, filling)
    assert str(found.reason).startswith("the broker refuses the destination tasks: ")
    assert_nothing_is_left(client, filling)


def test_a_broker_that_throttles_until_the_time_is_up_is_no(
    client: Client, queue: Queue, settings: Make, database_url: str, filling: UUID, fault: Fault  # noqa: F811
) -> None:  # fmt: skip
    fault(do="reject", condition="com.microsoft:server-busy", times=None)
    found = published(client, settings(), database_url, filling, timeout=2)
    assert "its time was up" in str(found.reason)
    assert_nothing_is_left(client, filling)
    assert queue.stored == 0


def test_a_broker_that_throttles_for_a_while_is_yes(
    client: Client, queue: Queue, settings: Make, database_url: str, filling: UUID, fault: Fault  # noqa: F811
) -> None:  # fmt: skip
    fault(do="reject", condition="com.microsoft:server-busy", times=1)
    found = published(client, settings(), database_url, filling)
    assert found.status == "confirmed"
    assert queue.stored == 250


def test_the_number_is_made_again_after_a_no(
    client: Client, queue: Queue, settings: Make, database_url: str, filling: UUID, fault: Fault  # noqa: F811
) -> None:  # fmt: skip
    fault(
        do="reject", condition="com.microsoft:argument-error", description="not allowed",
        holds="-s1-250.1.", times=None,
    )  # fmt: skip
    assert published(client, settings(), database_url, filling).status == "withdrawn"
    ghosts = queue.stored
    client.create_stage_tasks(filling, 1, "tiles", 100, seal=False)
    assert published(client, settings(), database_url, filling).status == "confirmed"
    assert queue.stored == ghosts + 100


@pytest.mark.parametrize(
    "point",
    [
        "claim_batches.after", "send.before", "send.after", "record_last_send.before@3",
        "record_last_send.after@3", "record_last_send.before@5", "record_last_send.after@5",
    ],
)  # fmt: skip
@pytest.mark.parametrize("heir", [True, False], ids=["another bridge", "no other bridge"])
def test_a_bridge_that_is_killed_leaves_one_of_the_two(
    client: Client, queue: Queue, start_bridge: Any, filling: UUID, database_url: str,
    point: str, heir: bool,
) -> None:  # fmt: skip
    name, _, nth = point.partition("@")
    client.publish_stage(filling, 1, timedelta(hours=1))
    bridge = start_bridge(*SHORT, STAGEBUS_FAILPOINTS=f"{name}=kill@{nth or 1}")
    assert bridge.exit_code() == -signal.SIGKILL
    confirmed = point == "record_last_send.after@5"
    if heir:
        start_bridge(*SHORT)
        assert wait_for_publication(database_url, filling, 1).status == "confirmed"
        assert queue.stored == 250
    else:
        # The last answer that was lost was a yes.
        status = client.publication(filling).status
        assert status == ("confirmed" if confirmed else "waiting")
        client.advance(timedelta(hours=1))
        status = client.publication(filling).status
        assert status == ("confirmed" if confirmed else "withdrawn")
        client.work_orders()
        if confirmed:
            assert client.task_states(filling) == {"queued": 250}
        else:
            assert_nothing_is_left(client, filling)
            if name in ("claim_batches.after", "send.before"):
                assert queue.stored == 0
            else:
                assert ask_for_all(client, queue, queue.stored) == {"ghost"}


@pytest.mark.parametrize("side", ["before", "after"])
def test_a_bridge_that_is_killed_while_it_works_a_withdrawal_off(
    client: Client, start_bridge: Any, filling: UUID, side: str
) -> None:
    client.publish_stage(filling)
    client.withdraw_stage(filling)
    bridge = start_bridge(*SHORT, STAGEBUS_FAILPOINTS=f"work_order.{side}=kill")
    assert bridge.exit_code() == -signal.SIGKILL
    client.work_orders()
    assert_nothing_is_left(client, filling, messages=0)


def test_a_caller_that_is_killed_is_told_by_the_same_command(
    client: Client, queue: Queue, start_bridge: Any, filling: UUID, database_url: str
) -> None:
    command = [sys.executable, "-m", "bridge", "publish", str(filling), "1", "--wait"]
    environment = {**os.environ, "STAGEBUS_DATABASE_URL": database_url}
    caller = subprocess.Popen(command, cwd=_PROJECT, env=environment, stdout=subprocess.PIPE)
    with caller:
        assert caller.stdout is not None
        assert caller.stdout.readline().startswith(b"waiting: 0 of 5")
        caller.send_signal(signal.SIGKILL)
    start_bridge(*SHORT)
    again = subprocess.run(
        command, cwd=_PROJECT, env=environment, check=False, stdout=subprocess.PIPE, timeout=60
    )
    assert again.returncode == 0
    assert again.stdout.splitlines()[-1] == b"confirmed: 250 tasks in 5 batches"
    assert queue.stored == 250


@pytest.mark.parametrize("refused", [False, True], ids=["run", "ghost"])
def test_a_worker_waits_and_then_runs_all_or_nothing(
    client: Client, queue: Queue, settings: Make, worker_url: str, database_url: str, filling: UUID,
    refused: bool,
) -> None:  # fmt: skip
    ledger = Ledger()
    held = client.order  # a short name for what an operator does
    told = client.publish_stage(filling)
    last = client.batches(filling)[-1].batch_id
    held("hold_batch", filling, last)
    queued = "select count(*) from stagebus_data.batches where state = 'queued'"

    async def scenario() -> None:
        worker = Worker(worker_url, queue.connection_string, ledger, queue=queue.name)
        async with running(settings()), working(worker):
            await becomes(lambda: client.value(queued) == 4)
            await becomes(lambda: queue.counts["locked"] == 200)
            assert not ledger.calls
            # Other work is not held up.
            other = create_stage(client, 20, task_type="others")
            await becomes(lambda: ended(client, other))
            if refused:
                client.withdraw_stage(filling)
            else:
                held("unhold_batch", filling, last)
                await becomes(lambda: ended(client, filling))
            await becomes(lambda: is_empty(queue))
            await becomes(lambda: not client.column("select * from stagebus.working_orders()"))

    asyncio.run(scenario())
    assert set(ledger.done.values()) == {1}
    assert sum(f"{filling}" in task_id for task_id in ledger.done) == (0 if refused else 250)
    assert queue.counts["dead_lettered"] == 0
    status = client.publication(filling, 1, told.nonce).status
    assert status == ("withdrawn" if refused else "confirmed")


def test_a_bridge_ends_what_nobody_waits_for(
    client: Client, settings: Make, filling: UUID, queue: Queue, gated: Make, gate: Any
) -> None:
    """No caller, and a broker that is away: the maintenance finds that the time is up."""
    gate.refuse()
    client.publish_stage(filling, 1, timedelta(seconds=1))

    async def scenario() -> None:
        async with running(gated()):
            await becomes(lambda: client.count("stages") == 0, within=30)

    asyncio.run(scenario())
    assert_nothing_is_left(client, filling)
    assert queue.stored == 0
    eventually(lambda: client.publication(filling).status == "withdrawn")
