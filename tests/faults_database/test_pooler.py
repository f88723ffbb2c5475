"""A bridge behind a pooler of transactions: any call may have any session, and LISTEN is lost."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from tests.bridge.conftest import (
    LOSES_CONNECTIONS,
    all_queued,
    create_stage,
    running,
    sends_of,
)
from tests.client import Client
from tests.eventually import becomes
from tests.faults_database.commits import watch_commits
from tests.faults_database.conftest import LOGIN, Bus, assert_delivered
from tests.faults_database.pooler import pgbouncer

pytestmark = LOSES_CONNECTIONS

#: The sessions of the pool.
SESSIONS = "from pg_stat_activity where datname = current_database() and usename = '" + LOGIN + "'"


def spoil(url: str) -> None:
    """Tells both sessions of the pool not to wait, as another of its clients may do."""
    with psycopg.connect(url) as one, psycopg.connect(url) as other:
        # Each holds a session until its transaction ends.
        one.execute("set synchronous_commit = off")
        other.execute("set synchronous_commit = off")


def test_a_bridge_publishes_through_a_pooler_and_its_commits_wait_for_the_disk(
    client: Client, bridge_url: str, bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    """Two sessions for six connections; both are told something else in the middle."""
    caplog.set_level("INFO", "stagebus")
    seen = watch_commits(client)
    client.set_destination("tasks", max_send_messages=20)

    async def scenario() -> None:
        with pgbouncer(bridge_url, size=2) as url:
            async with running(bus.settings(url, connections=3)):
                job_ids = [create_stage(client, 500, task_type=kind) for kind in ("a", "b")]
                await becomes(lambda: sends_of(client) >= 5)
                await asyncio.to_thread(spoil, url)
                await becomes(lambda: all_queued(client))
                assert client.value(f"select count(*) {SESSIONS}") <= 2
            assert_delivered(client, bus, job_ids)

    asyncio.run(scenario())
    assert seen(LOGIN) == {"on"}
    assert "database.unavailable" not in [record.getMessage() for record in caplog.records]


def test_a_bridge_goes_on_when_the_pool_loses_its_sessions(
    client: Client, bridge_url: str, bus: Bus
) -> None:
    client.set_destination("tasks", max_send_messages=20)

    async def scenario() -> None:
        with pgbouncer(bridge_url, size=2) as url:
            async with running(bus.settings(url)):
                job_id = create_stage(client, 1000)
                for sends in (5, 15, 25):
                    await becomes(lambda sends=sends: sends_of(client) >= sends)
                    client.execute(f"select pg_terminate_backend(pid) {SESSIONS}")
                await becomes(lambda: all_queued(client))
            assert_delivered(client, bus, [job_id])

    asyncio.run(scenario())
