"""A full queue of notifications: a commit that notifies fails, and publishing goes on."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from tests.bridge.conftest import LOSES_CONNECTIONS, all_queued, create_stage, running, states
from tests.client import Client
from tests.conftest import version
from tests.eventually import becomes
from tests.faults_database.conftest import Bus, as_bridge, assert_delivered, own_postgres

pytestmark = LOSES_CONNECTIONS


def fill_queue(client: Client) -> None:
    """Notifies until the server refuses to commit one more."""
    while notifies(client):
        pass


def notifies(client: Client) -> bool:
    try:
        client.execute("select pg_notify('filler', repeat('x', 7900))")
    except psycopg.errors.ProgramLimitExceeded:
        return False
    return True


def test_a_full_notification_queue_stops_who_notifies_and_nobody_else(bus: Bus) -> None:
    if version() < 17:
        pytest.skip("before PostgreSQL 17 the queue has 8 GB: max_notify_queue_pages is new there")
    with (
        own_postgres(max_notify_queue_pages="64") as postgres,
        Client(postgres.url()) as client,
    ):
        job_ids = [create_stage(client, 300)]
        laggard = client.session()
        # A listener in an open transaction reads nothing, and nothing behind it can go.
        laggard.execute("listen filler")
        laggard.execute("begin")
        laggard.execute("select 1")
        fill_queue(client)

        async def scenario() -> None:
            async with running(bus.settings(as_bridge(postgres.url()))):
                await becomes(lambda: all_queued(client))
                # Nothing waits: so the next stage would be told of.
                before = states(client)
                job_id = client.create_job()
                with pytest.raises(psycopg.errors.ProgramLimitExceeded):
                    client.create_stage_tasks(job_id, 1, "tiles", 100)
                assert states(client) == before
                laggard.execute("commit")
                await becomes(lambda: client.value("select pg_notification_queue_usage() < 0.5"))
                client.create_stage_tasks(job_id, 1, "tiles", 100)
                job_ids.append(job_id)
                await becomes(lambda: len(states(client)) == 1 and all_queued(client))
            assert_delivered(client, bus, job_ids)

        asyncio.run(scenario())
