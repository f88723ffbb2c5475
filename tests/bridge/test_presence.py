"""The view `bridges`: who is there, what it holds, and who went without a word."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from datetime import timedelta
from importlib.metadata import version
from typing import Any
from uuid import uuid4

import pytest

from bridge import presence
from bridge.replay import code_digest
from bridge.settings import Settings
from tests.bridge.conftest import BridgeProcess, Queue, create_stage, running
from tests.client import Client
from tests.eventually import becomes, eventually

#: Is next week's partition there?
NEXT_PARTITION = (
    "select to_regclass('stagebus_data.tasks_from_' || to_char(date_trunc('week',"
    " (stagebus.clock() + interval '7 days') at time zone 'UTC'), 'YYYYMMDD')) is not null"
)

Make = Callable[..., Settings]
Start = Callable[..., BridgeProcess]


def bridges(client: Client) -> list[Any]:
    return client.rows("select * from stagebus.bridges order by started_at")


def test_a_bridge_is_there_while_it_runs(client: Client, queue: Queue, settings: Make) -> None:
    async def scenario() -> None:
        async with running(settings(lease=45.5)):
            await becomes(lambda: bridges(client))
            (row,) = bridges(client)
            assert row.alive
            assert (row.host, row.pid) == (socket.gethostname(), os.getpid())
            assert (row.version, row.code_digest) == (version("stagebus"), code_digest())
            assert (row.batches, row.tasks) == (0, 0)
            assert row.lease == timedelta(seconds=45.5)

    asyncio.run(scenario())
    assert bridges(client) == []


def test_a_bridge_whose_maintenance_takes_long_still_says_that_it_is_there(
    client: Client, queue: Queue, settings: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "INTERVAL", 0.1)
    other = client.session()

    def waits() -> bool:
        found: bool = client.value(
            "select exists (select from pg_stat_activity where datname = current_database()"
            " and application_name = 'stagebus maintenance' and wait_event_type = 'Lock')"
        )
        return found

    async def scenario() -> None:
        async with running(settings()):
            await becomes(lambda: bridges(client))
            with other.transaction():
                other.execute("lock table stagebus_data.orders")
                await becomes(waits)
                seen_at = bridges(client)[0].seen_at
                # Before the round is given up.
                await becomes(lambda: bridges(client)[0].seen_at > seen_at, 10)

    asyncio.run(scenario())


def test_a_killed_bridge_stays_until_its_last_word_is_old(
    client: Client, queue: Queue, start_bridge: Start
) -> None:
    bridge = start_bridge()
    eventually(lambda: bridges(client))
    bridge.process.kill()
    bridge.process.wait()
    assert [row.pid for row in bridges(client)] == [bridge.process.pid]
    client.advance(timedelta(minutes=2))
    assert [row.alive for row in bridges(client)] == [False]
    client.maintain()
    assert len(bridges(client)) == 1
    client.advance(timedelta(days=1))
    # Its last round of maintenance may go on without it, and keep others from theirs.
    eventually(lambda: client.maintain() and bridges(client) == [])


def test_a_bridge_that_dies_before_a_send_is_named_and_another_mends_it(
    client: Client, queue: Queue, start_bridge: Start
) -> None:
    dying = start_bridge(STAGEBUS_FAILPOINTS="send.before=kill")
    eventually(lambda: bridges(client))
    (dead,) = bridges(client)
    job_id = create_stage(client, 10)
    dying.process.wait()
    client.advance(timedelta(minutes=2))
    lines = client.rows("select * from stagebus.why_stuck(%s)", job_id)
    assert [line.cause for line in lines] == ["no bridge alive", "dead bridge"]
    assert str(dead.bridge_id) in lines[1].evidence
    assert {line.fix.split(": ")[-1] for line in lines} == {"stagebus bridge"}
    start_bridge()
    eventually(lambda: queue.stored == 10)
    eventually(
        lambda: client.column("select cause from stagebus.why_stuck(%s)", job_id) == ["runs"]
    )


def test_each_bridge_shows_what_it_has_leased(client: Client) -> None:
    client.stop_clock()
    client.set_task_type("work", batch_size=10)
    other = uuid4()
    for bridge_id in (client.bridge_id, other):
        report(client, bridge_id)
    client.create_stage_tasks(client.create_job(), 1, "work", 25)
    client.claim_batches(2)
    client.claim_batches(1, bridge_id=other)
    held = {row.bridge_id: (row.batches, row.tasks) for row in bridges(client)}
    assert held == {client.bridge_id: (2, 20), other: (1, 5)}


def test_a_report_is_good_for_a_minute_and_the_next_renews_it(client: Client) -> None:
    client.stop_clock()
    report(client, client.bridge_id)
    client.advance(timedelta(seconds=59))
    assert [row.alive for row in bridges(client)] == [True]
    client.advance(timedelta(seconds=1))
    assert [row.alive for row in bridges(client)] == [False]
    report(client, client.bridge_id)
    assert [(row.alive, row.started_at < row.seen_at) for row in bridges(client)] == [(True, True)]


def test_an_operator_forgets_a_bridge(client: Client) -> None:
    report(client, client.bridge_id)
    operator = client.session("stagebus_operator")
    assert operator.value("select stagebus.forget_bridge(%s)", client.bridge_id) is True
    assert operator.value("select stagebus.forget_bridge(%s)", client.bridge_id) is False
    assert bridges(client) == []


def report(client: Client, bridge_id: Any) -> None:
    client.execute("select stagebus.report_bridge(%s, 'host', 1, '1.0', 'digest')", bridge_id)


def test_a_bridge_that_the_database_does_not_know_to_hear_works_unseen(
    client: Client, queue: Queue, settings: Make
) -> None:
    client.execute(
        "drop function stagebus.report_bridge(uuid, text, integer, text, text, interval)"
    )

    async def scenario() -> None:
        async with running(settings()):
            create_stage(client, 10)
            await becomes(lambda: queue.stored == 10)
            # The round of maintenance goes on to its duties.
            client.advance(timedelta(weeks=5))
            await becomes(lambda: client.value(NEXT_PARTITION))

    asyncio.run(scenario())
    assert bridges(client) == []
