"""A database that is not up yet, goes away, or is not the one that the bridge knows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.errors import IncompatibleDatabase, SettingsError
from bridge.local.endpoint.process import run_endpoint
from bridge.migrate import migrate
from bridge.relay import Relay
from bridge.settings import Settings
from tests.bridge.conftest import (
    BRIDGE_LOGIN,
    LOSES_CONNECTIONS,
    OwnServer,
    Queue,
    all_queued,
    as_login,
    assert_ledger_is_whole,
    create_stage,
    expected_ids,
    journal_ids,
    port_of,
    running,
    sends_of,
    through,
)
from tests.bridge.gate import Gate
from tests.client import Client
from tests.eventually import becomes

pytestmark = LOSES_CONNECTIONS

Make = Callable[..., Settings]


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_a_bridge_waits_for_a_server_that_is_not_up_and_a_database_that_is_not_migrated(
    own_server: OwnServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    url = own_server.new_database(migrated=False)
    own_server.postgres.stop()

    async def scenario() -> None:
        with run_endpoint() as endpoint:
            given = Settings(
                database_url=as_login(url, BRIDGE_LOGIN),
                servicebus_connection_string=endpoint.connection_string,
                allow_fsync_off=True,
                poll=0.2,
            )
            async with running(given):
                await becomes(lambda: "database.unavailable" in events(caplog))
                own_server.postgres.start()
                await becomes(lambda: "not installed" in str(caplog.records[-1].__dict__))
                migrate(url)
                with Client(url) as client:
                    create_stage(client, 50)
                    await becomes(lambda: all_queued(client))
            assert endpoint.counts()["entities"]["tasks"]["stored"] == 50

    asyncio.run(scenario())
    assert "bridge.stopped" in events(caplog)


def test_a_bridge_waits_for_a_database_that_still_has_the_version_before(
    client: Client, queue: Queue, settings: Make, caplog: pytest.LogCaptureFixture
) -> None:
    create_stage(client, 10)
    client.execute("alter function stagebus.check_writes rename to not_made_yet")

    async def scenario() -> None:
        async with running(settings()):
            await becomes(
                lambda: "stagebus migrate" in str([each.__dict__ for each in caplog.records])
            )
            client.execute("alter function stagebus.not_made_yet rename to check_writes")
            await becomes(lambda: all_queued(client))

    asyncio.run(scenario())
    assert queue.stored == 10


def test_a_bridge_that_waits_for_a_database_can_be_stopped(
    own_server: OwnServer, caplog: pytest.LogCaptureFixture
) -> None:
    url = own_server.postgres.url("no_such_database")

    async def scenario() -> None:
        async with running(
            Settings(database_url=url, servicebus_namespace="example.servicebus.windows.net")
        ):
            await becomes(lambda: "database.unavailable" in events(caplog))

    asyncio.run(scenario())
    assert "no_such_database" in str(caplog.records[0].__dict__)


def test_a_restart_of_both_servers_in_the_middle_of_the_work_loses_nothing(
    own_server: OwnServer, tmp_path: Path
) -> None:
    """First PostgreSQL, then the endpoint, which forgets all it had: so the journals count."""
    url = own_server.new_database()
    journals = [tmp_path / "before.journal", tmp_path / "after.journal"]

    async def scenario() -> None:
        with Client(url) as client:
            client.set_destination("tasks", max_send_messages=10)
            job_id = create_stage(client, 1000, batch_size=200)
        with run_endpoint(arguments=["--journal", str(journals[0])]) as first:
            port = port_of(first.connection_string)
            with Gate("127.0.0.1", port) as gate:
                given = Settings(
                    database_url=as_login(url, BRIDGE_LOGIN),
                    servicebus_connection_string=through(first.connection_string, gate.port),
                    allow_fsync_off=True,
                    connections=2,
                    poll=0.2,
                    lease=30,
                    send_deadline=10,
                )
                async with running(given):
                    with Client(url) as client:
                        await becomes(lambda: sends_of(client) >= 5)
                        gate.hold_answers()
                    own_server.restart()
                    with Client(url) as client:
                        recorded = sends_of(client)
                        assert recorded < 100
                        gate.open()
                        await becomes(lambda: sends_of(client) >= recorded + 5)
                        gate.hold_questions()
                        gate.cut()
                        await asyncio.to_thread(endpoint_ends, first.pid)
                        assert not all_queued(client)
                        gate.open()
                        await becomes(
                            lambda: client.value(
                                "select count(*) from stagebus.batches where last_error > ''"
                            )
                        )
                        with run_endpoint(
                            arguments=["--port", str(port), "--journal", str(journals[1])]
                        ):
                            await becomes(lambda: all_queued(client), within=30)
        with Client(url) as client:
            assert set(journal_ids(journals)) == expected_ids(client, job_id)
            assert_ledger_is_whole(client, job_id)
            # At most a send of each connection was under way.
            assert sends_of(client, "unknown") <= 2
            assert max(client.column("select publish_attempts from stagebus.batches")) <= 1

    asyncio.run(scenario())


def endpoint_ends(pid: int) -> None:
    """Stops an endpoint and returns when nobody listens any more; its `with` block reaps it."""
    import os
    import signal

    from tests.eventually import eventually

    os.kill(pid, signal.SIGKILL)
    eventually(lambda: Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z")


def test_a_bridge_refuses_a_database_with_another_api(client: Client, settings: Make) -> None:
    client.execute(
        "create or replace function stagebus.api_version() returns integer language sql"
        " as 'select 99'"
    )
    with pytest.raises(IncompatibleDatabase, match=r"version 99 .* knows 1 to 1"):
        asyncio.run(Relay(settings()).run())


def test_a_bridge_refuses_to_work_without_its_role(client: Client, settings: Make) -> None:
    given = settings(database_url=as_login(client.url, "stagebus_test_nobody"))
    client.execute("create role stagebus_test_nobody login")
    try:
        with pytest.raises(IncompatibleDatabase, match="grant stagebus_bridge"):
            asyncio.run(Relay(given).run())
    finally:
        client.execute("drop role stagebus_test_nobody")


def test_a_bridge_says_that_a_url_is_none_without_repeating_it(settings: Make) -> None:
    given = settings(database_url="postgresql://me:geheim@[half")
    with pytest.raises(SettingsError, match="STAGEBUS_DATABASE_URL") as caught:
        asyncio.run(Relay(given).run())
    assert "geheim" not in str(caught.value)


def test_a_server_that_is_read_only_for_a_while_is_waited_for(
    client: Client, settings: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """As after a failover, until the name leads to the new primary."""
    caplog.set_level("INFO")
    client.set_task_type("tiles")
    role = f"alter role {BRIDGE_LOGIN}"
    client.execute(f"{role} set default_transaction_read_only = on")
    try:

        async def scenario() -> None:
            async with running(settings(poll=0.2)):
                create_stage(client, 10)
                await becomes(lambda: "database.unavailable" in events(caplog))
                client.execute(f"{role} reset default_transaction_read_only")
                client.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where application_name like 'stagebus %%'"
                )
                await becomes(lambda: all_queued(client))

        asyncio.run(scenario())
    finally:
        client.execute(f"{role} reset default_transaction_read_only")


def test_one_failing_round_of_maintenance_does_not_end_the_next_ones(
    client: Client, settings: Make, caplog: pytest.LogCaptureFixture
) -> None:
    definition = client.value(
        "select pg_get_functiondef('stagebus.maintain(integer, boolean)'::regprocedure)"
    )
    client.execute(definition.replace("\nbegin\n", "\nbegin\n    perform 1 / 0;\n", 1))

    async def scenario() -> None:
        caplog.set_level("INFO")
        async with running(settings()):
            await becomes(lambda: "maintenance.crashed" in events(caplog))
            client.execute(definition)
            before = len(events(caplog))
            # A task whose worker was lost long ago: only maintenance finds it.
            published = client.published_stage(1)
            client.start(published.messages[0], client.bridge_id)
            client.execute(
                "update stagebus_data.running_attempts"
                " set lease_until = clock_timestamp() - interval '1 hour'"
            )
            await becomes(lambda: "maintenance.done" in events(caplog)[before:])

    asyncio.run(scenario())
