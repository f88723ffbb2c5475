"""A database that comes back without what the bridge was told is committed: everything pauses."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from typing import Any

import pytest
from psycopg.conninfo import make_conninfo

from bridge.local.postgres import LocalPostgres
from bridge.relay import Relay
from tests.bridge.conftest import (
    LOSES_CONNECTIONS,
    all_queued,
    create_stage,
    expected_ids,
    journal_ids,
    port_of,
    running,
    sends_of,
    through,
    through_gate,
)
from tests.bridge.gate import Gate
from tests.client import Client
from tests.eventually import becomes
from tests.faults_database.conftest import (
    LOGIN,
    Bus,
    as_bridge,
    assert_delivered,
    own_postgres,
    said,
)
from tests.faults_database.pooler import pooler
from tests.faults_database.standby import backup_of, restore, standby_of, stop_following

pytestmark = LOSES_CONNECTIONS

#: So that what a bridge held is soon anybody's.
SHORT: dict[str, Any] = {"lease": 3.0, "send_deadline": 2.5}

#: A server whose copies are soon made.
SERVER = {"wal_level": "replica", "max_wal_size": "64MB"}


def either(*servers: LocalPostgres) -> str:
    """Whichever of them can be written to."""
    return make_conninfo(
        host=",".join("127.0.0.1" for _ in servers),
        port=",".join(str(server.port) for server in servers),
        user=LOGIN,
        dbname="postgres",
        target_session_attrs="read-write",
    )


def paused(client: Client) -> bool:
    """All destinations are, for an operator, and say that something was lost."""
    rows = client.rows("select * from stagebus.destination_status")
    return all(
        row.status == "paused"
        and row.probe_at is None
        and "lost committed transactions" in row.pause_reason
        for row in rows
    )


def resume(client: Client) -> None:
    client.execute(
        "select stagebus.resume_destination(destination) from stagebus.destination_status"
    )


async def sends_nothing(client: Client, bus: Bus, relay: Relay) -> None:
    """Its lanes have dropped what they had; the leases run out, and nobody gets another."""
    await becomes(lambda: not relay._at_work)
    stored = journal_ids([bus.journal])
    await becomes(
        lambda: (
            not client.value(
                "select count(*) from stagebus_data.batches where lease_until > clock_timestamp()"
            )
        )
    )
    assert client.claim_batches(10) == []
    assert not all_queued(client)
    assert journal_ids([bus.journal]) == stored


def test_a_failover_to_a_standby_that_lags_pauses_everything(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "stagebus")
    with own_postgres(**SERVER) as old, standby_of(old, synchronous=False) as new:

        async def scenario() -> None:
            async with running(bus.settings(either(old, new), **SHORT)) as relay:
                with Client(old.url()) as client:
                    client.set_destination("tasks", max_send_messages=10)
                    job_id = create_stage(client, 1000, batch_size=100)
                    await becomes(lambda: sends_of(client) >= 5)
                    stop_following(new)
                    sends = sends_of(client)
                    await becomes(lambda: sends_of(client) >= sends + 5)
                    assert not all_queued(client)
                    lost = sends_of(client)
                old.stop(signal.SIGQUIT)
                with Client(new.url()) as client:
                    client.execute("select pg_promote()")
                    await becomes(lambda: paused(client))
                    assert sends_of(client) < lost
                    assert str(relay.bridge_id) in client.destination().pause_reason
                    await sends_nothing(client, bus, relay)
                    resume(client)
                    await becomes(lambda: all_queued(client))
                    assert_delivered(client, bus, [job_id])
                    assert client.destination().status == "active"

        asyncio.run(scenario())
    assert said(caplog, "database.lost_transactions")


def test_a_failover_that_lost_nothing_pauses_nothing(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    """Without synchronous replication, but to a standby that had received everything."""
    with own_postgres(**SERVER) as old, standby_of(old, synchronous=False) as new:

        async def scenario() -> None:
            async with running(bus.settings(either(old, new), **SHORT)):
                with Client(old.url()) as client:
                    job_ids = [create_stage(client, 200)]
                    await becomes(lambda: all_queued(client))
                    written = client.value("select pg_current_wal_flush_lsn()::text")
                with Client(new.url()) as client:
                    await becomes(
                        lambda: client.value(
                            "select pg_last_wal_replay_lsn() >= %s::pg_lsn", written
                        )
                    )
                    old.stop(signal.SIGQUIT)
                    client.execute("select pg_promote()")
                    await becomes(lambda: not client.value("select pg_is_in_recovery()"))
                    job_ids.append(create_stage(client, 200, task_type="shapes"))
                    await becomes(lambda: all_queued(client))
                    assert_delivered(client, bus, job_ids)
                    assert client.destination().status == "active"

        asyncio.run(scenario())
    assert not said(caplog, "database.lost_transactions")


def test_a_database_that_is_restored_beneath_an_idle_bridge_pauses_everything(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    """A whole job is gone whose messages are out; its bridge had nothing in hand any more."""
    with own_postgres(**SERVER) as server:

        async def scenario() -> None:
            async with running(bus.settings(as_bridge(server.url()), **SHORT)) as relay:
                with Client(server.url()) as client, backup_of(server) as backup:
                    gone = create_stage(client, 100)
                    await becomes(lambda: all_queued(client))
                    stored = Counter(expected_ids(client, gone))
                    restore(server, backup)
                with Client(server.url()) as client:
                    await becomes(lambda: paused(client))
                    job_ids = [create_stage(client, 100)]
                    await sends_nothing(client, bus, relay)
                    resume(client)
                    await becomes(lambda: all_queued(client))
                    # Nobody pauses for the same loss again.
                    for pid in client.column(
                        "select pid from pg_stat_activity where usename = %s", LOGIN
                    ):
                        client.execute("select pg_terminate_backend(%s)", pid)
                    job_ids.append(create_stage(client, 100, task_type="shapes"))
                    await becomes(lambda: all_queued(client))
                    for job_id in job_ids:
                        stored.update(expected_ids(client, job_id))
                    assert journal_ids([bus.journal]) == stored

        asyncio.run(scenario())
    assert len(said(caplog, "database.lost_transactions")) >= 1


def test_a_pooler_that_leads_to_a_server_that_lags_is_noticed_before_any_call(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    """The bridge's own connections last: each call names the server that it is meant for."""
    with own_postgres(**SERVER) as old, standby_of(old, synchronous=False) as new:

        async def scenario() -> None:
            with pooler(tcp(old), size=4) as pool:
                async with running(bus.settings(pool.url, **SHORT)) as relay:
                    with Client(old.url()) as client:
                        client.set_destination("tasks", max_send_messages=10)
                        job_id = create_stage(client, 1000, batch_size=100)
                        await becomes(lambda: sends_of(client) >= 5)
                        stop_following(new)
                        sends = sends_of(client)
                        await becomes(lambda: sends_of(client) >= sends + 5)
                    with Client(new.url()) as client:
                        client.execute("select pg_promote()")
                        before = client.contents()
                        await asyncio.to_thread(pool.redirect, tcp(new))
                        await becomes(lambda: paused(client))
                        after = client.contents()
                        assert {t for t in after if after[t] != before[t]} == {"destinations"}
                        await sends_nothing(client, bus, relay)
                        resume(client)
                        await becomes(lambda: all_queued(client))
                        assert_delivered(client, bus, [job_id])

        asyncio.run(scenario())
    unavailable = [fields["error"] for fields in said(caplog, "database.unavailable")]
    assert set(unavailable) == {"its pooler leads to another server"}


def tcp(server: LocalPostgres) -> str:
    return server.tcp_url().replace("postgres@", f"{LOGIN}@")


def test_an_epoch_that_was_given_out_again_is_not_the_first_bridges(
    client: Client, bridge_url: str, database_gate: Gate, bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    """Its claim is undone, another bridge has the batch under the same epoch, and works on it."""
    client.set_destination("tasks", max_send_messages=10)
    port = port_of(bus.endpoint.connection_string)

    async def scenario() -> None:
        with Gate("127.0.0.1", port) as broker_gate:
            settings = bus.settings(
                through_gate(bridge_url, database_gate),
                servicebus_connection_string=through(
                    bus.endpoint.connection_string, broker_gate.port
                ),
                connections=1,
            )
            async with running(settings):
                create_stage(client, 10, task_type="shapes")
                await becomes(lambda: all_queued(client))
                broker_gate.hold_answers()
                job_id = create_stage(client, 40)
                await becomes(lambda: len(journal_ids([bus.journal])) == 20)
                database_gate.hold_questions()
                client.execute(
                    "update stagebus_data.batches set state = 'pending_queue', claim_epoch = 0,"
                    " claimed_by = null, lease_until = null where job_id = %s",
                    job_id,
                )
                (theirs,) = client.claim_batches(1)
                assert theirs.claim_epoch == 1
                assert client.record_send(theirs, 1, 10)
                database_gate.cut()
                database_gate.open()
                broker_gate.open()
                await becomes(lambda: paused(client))
                await becomes(lambda: said(caplog, "batch.fenced"))
            assert client.record_send(theirs, 11, 40)
            assert client.finish_batch(theirs)
            assert {send.claimed_by for send in client.sends(theirs)} == {client.bridge_id}
            assert len(journal_ids([bus.journal])) == 20

    asyncio.run(scenario())
