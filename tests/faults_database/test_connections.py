"""A server that takes no more connections, and one that ends those that a bridge has."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

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
from tests.faults_database.conftest import Bus, as_bridge, assert_delivered, own_postgres

pytestmark = LOSES_CONNECTIONS

#: The connections of a bridge with two lanes, by what they are for.
PARTS = ("relay", "lane", "lane", "maintenance", "listener")

#: What the server says to an ordinary role; the last ones are kept for superusers.
NO_SLOT = "connection slots"


def pids(client: Client, part: str) -> list[int]:
    return client.column(
        "select pid from pg_stat_activity where application_name = %s"
        " and datname = current_database() order by pid",
        f"stagebus {part}",
    )


def test_a_bridge_whose_sessions_are_ended_one_after_another_loses_nothing(
    client: Client, bridge_url: str, bus: Bus
) -> None:
    client.set_destination("tasks", max_send_messages=10)
    job_ids = []

    async def scenario() -> None:
        async with running(bus.settings(bridge_url)):
            for number, part in enumerate(PARTS):
                before = sends_of(client)
                job_ids.append(create_stage(client, 400, batch_size=200))
                await becomes(lambda before=before: sends_of(client) >= before + 3)
                found = pids(client, part)
                victim = found[number % len(found)]
                assert client.value("select pg_terminate_backend(%s)", victim)
                await becomes(
                    lambda victim=victim, part=part, found=found: (
                        victim not in pids(client, part) and len(pids(client, part)) == len(found)
                    )
                )
            await becomes(lambda: all_queued(client))
        assert_delivered(client, bus, job_ids)

    asyncio.run(scenario())


def test_a_bridge_that_finds_no_free_connection_waits_for_one(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    """All its sessions are ended, and their places taken, in the middle of a batch."""
    caplog.set_level("DEBUG", "stagebus")

    def refused(part: str) -> bool:
        return any(
            record.name == f"stagebus.{part}" and NO_SLOT in str(record.__dict__)
            for record in caplog.records
        )

    with (
        own_postgres(max_connections="16", superuser_reserved_connections="3") as postgres,
        Client(postgres.url()) as client,
        ExitStack() as taken,
    ):
        url = as_bridge(postgres.url())
        client.set_destination("tasks", max_send_messages=10)

        def take_all() -> None:
            while takes_one():
                pass

        def takes_one() -> bool:
            try:
                taken.enter_context(psycopg.connect(url))
            except psycopg.OperationalError as error:
                if NO_SLOT not in str(error):
                    raise
                return False
            return True

        async def scenario() -> None:
            # The server syncs: nothing needs to be allowed.
            async with running(bus.settings(url, allow_fsync_off=False)):
                job_id = create_stage(client, 1000, batch_size=1000)
                await becomes(lambda: sends_of(client) >= 3)
                take_all()
                for part in set(PARTS):
                    for pid in pids(client, part):
                        client.execute("select pg_terminate_backend(%s)", pid)
                        await becomes(lambda pid=pid: not alive(client, pid))
                        take_all()
                await becomes(lambda: refused("relay") and refused("lane"))
                assert not all_queued(client)
                taken.close()
                await becomes(lambda: all_queued(client))
            assert_delivered(client, bus, [job_id])

        asyncio.run(scenario())


def alive(client: Client, pid: int) -> bool:
    return bool(client.value("select count(*) from pg_stat_activity where pid = %s", pid))
