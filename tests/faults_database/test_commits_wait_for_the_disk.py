"""What a bridge has recorded survives a crash of the server, whatever the defaults say."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from psycopg.conninfo import conninfo_to_dict

from bridge.cli import main
from bridge.errors import UnsafeDatabase
from bridge.relay import Relay
from tests.bridge.conftest import (
    BridgeProcess,
    all_queued,
    create_stage,
    running,
)
from tests.client import Client
from tests.eventually import PATIENCE, becomes, eventually
from tests.faults_database.commits import watch_commits
from tests.faults_database.conftest import LOGIN, Bus, as_bridge, assert_delivered, own_postgres


def test_a_bridge_waits_for_the_disk_although_the_defaults_are_not_to(
    client: Client, bridge_url: str, bus: Bus
) -> None:
    database = conninfo_to_dict(bridge_url)["dbname"]
    client.execute(f'alter database "{database}" set synchronous_commit = off')
    of_role = f'alter role {LOGIN} in database "{database}"'
    client.execute(f"{of_role} set synchronous_commit = off")
    seen = watch_commits(client)

    async def scenario() -> None:
        async with running(bus.settings(bridge_url)):
            job_id = create_stage(client, 300)
            await becomes(lambda: all_queued(client))
        assert_delivered(client, bus, [job_id])

    asyncio.run(scenario())
    assert seen(LOGIN) == {"on"}
    # What looked would have seen the default.
    create_stage(client, 1, task_type="shapes")
    with Client(bridge_url) as other:
        other.claim_batches(1)
    assert seen(LOGIN) == {"on", "off"}


@pytest.fixture
def without_fsync(client: Client) -> None:
    if client.value("show fsync") == "on":
        pytest.skip("wants a server with fsync = off; the given one has it on")


def test_a_server_that_does_not_sync_is_refused_with_the_reason_and_the_way_out(
    without_fsync: None, bridge_url: str, bus: Bus
) -> None:
    with pytest.raises(UnsafeDatabase, match="fsync = off"):
        asyncio.run(Relay(bus.settings(bridge_url, allow_fsync_off=False)).run())
    result = CliRunner().invoke(
        main,
        ["bridge", "--database-url", bridge_url],
        env={"STAGEBUS_SERVICEBUS_CONNECTION_STRING": bus.endpoint.connection_string},
    )
    assert result.exit_code == 1
    said = result.output.splitlines()[-1]
    for part in ("Error: ", "fsync = off", "lost", "--allow-fsync-off", "STAGEBUS_ALLOW_FSYNC_OFF"):
        assert part in said


def test_a_server_that_does_not_sync_any_more_is_refused_on_the_next_connection(bus: Bus) -> None:
    """Whichever part of the bridge comes to it first."""
    with own_postgres() as postgres, Client(postgres.url()) as client:

        def set_fsync(value: str) -> None:
            client.execute(f"alter system set fsync = {value}")
            client.execute("select pg_reload_conf()")
            eventually(lambda: client.value("show fsync") == value)

        async def scenario(part: str) -> None:
            set_fsync("on")
            given = bus.settings(as_bridge(postgres.url()), allow_fsync_off=False, connections=1)
            bridge = asyncio.create_task(Relay(given).run())
            create_stage(client, 10)
            await becomes(lambda: all_queued(client))
            set_fsync("off")
            assert client.value(
                "select bool_and(pg_terminate_backend(pid)) from pg_stat_activity"
                " where application_name = %s",
                f"stagebus {part}",
            )
            create_stage(client, 10)
            with pytest.raises(UnsafeDatabase, match="fsync = off"):
                await asyncio.wait_for(bridge, PATIENCE)

        for part in ("relay", "lane", "maintenance"):
            asyncio.run(scenario(part))
            client.execute("delete from stagebus_data.jobs")


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [(["--allow-fsync-off"], {}), ([], {"STAGEBUS_ALLOW_FSYNC_OFF": "1"})],
    ids=["flag", "environment"],
)
def test_a_server_that_does_not_sync_can_be_allowed(
    without_fsync: None,
    bridge_url: str,
    bus: Bus,
    tmp_path: Path,
    arguments: list[str],
    environment: dict[str, str],
) -> None:
    log = tmp_path / "bridge.log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "bridge", "bridge", *arguments],
            env={
                **os.environ,
                "STAGEBUS_DATABASE_URL": bridge_url,
                "STAGEBUS_SERVICEBUS_CONNECTION_STRING": bus.endpoint.connection_string,
                **environment,
            },
            stdin=subprocess.DEVNULL,
            stderr=stderr,
        )
    bridge = BridgeProcess(process, log)
    try:
        bridge.wait_for("bridge.started")
        bridge.terminate()
        assert bridge.exit_code() == 0
    finally:
        process.kill()
        process.wait()
