"""A standby becomes the primary in the middle of the work; the bridge's URL names both."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable

import pytest
from psycopg.conninfo import make_conninfo

from bridge.local.postgres import LocalPostgres
from tests.bridge.conftest import (
    LOSES_CONNECTIONS,
    all_queued,
    create_stage,
    running,
    sends_of,
)
from tests.client import Client
from tests.eventually import becomes
from tests.faults_database.conftest import LOGIN, Bus, assert_delivered, own_postgres
from tests.faults_database.standby import standby_of

pytestmark = LOSES_CONNECTIONS

End = Callable[[LocalPostgres, Client], Awaitable[None]]


async def fence(old: LocalPostgres, standby: Client) -> None:
    """The old primary stays, read-only; the standby has all of it."""
    with Client(old.url()) as client:
        client.execute("alter system set default_transaction_read_only = on")
        client.execute("select pg_reload_conf()")
        await becomes(lambda: client.value("show transaction_read_only") == "on")
        written = client.value("select pg_current_wal_lsn()::text")
    await becomes(lambda: standby.value("select pg_last_wal_replay_lsn() >= %s::pg_lsn", written))


async def kill(old: LocalPostgres, standby: Client) -> None:
    """The old primary is gone without a word."""
    old.stop(signal.SIGQUIT)


@pytest.mark.parametrize("end", [fence, kill], ids=["read-only", "killed"])
def test_a_bridge_goes_on_at_the_new_primary(end: End, bus: Bus) -> None:
    with own_postgres(wal_level="replica") as old, standby_of(old) as new:
        url = make_conninfo(
            host="127.0.0.1,127.0.0.1",
            port=f"{old.port},{new.port}",
            user=LOGIN,
            dbname="postgres",
            target_session_attrs="read-write",
        )

        async def scenario() -> None:
            async with running(bus.settings(url, allow_fsync_off=False)):
                with Client(old.url()) as client:
                    client.set_destination("tasks", max_send_messages=10)
                    job_ids = [create_stage(client, 1000, batch_size=200)]
                    await becomes(lambda: sends_of(client) >= 10)
                    assert not all_queued(client)
                with Client(new.url()) as client:
                    assert client.value("select pg_is_in_recovery()")
                    await end(old, client)
                    assert not all_queued(client)
                    client.execute("select pg_promote()")
                    await becomes(lambda: all_queued(client))
                    job_ids.append(create_stage(client, 100, task_type="shapes"))
                    await becomes(lambda: all_queued(client))
            with Client(new.url()) as client:
                assert_delivered(client, bus, job_ids)

        asyncio.run(scenario())
