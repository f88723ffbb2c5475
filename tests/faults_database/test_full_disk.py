"""A disk without space: what cannot be written fails whole, and goes on once there is space."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

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
from tests.faults_database.conftest import Bus, as_bridge, assert_delivered, said
from tests.faults_database.small_disk import Disk, small_disk

pytestmark = LOSES_CONNECTIONS


def test_what_finds_no_space_fails_whole_and_a_bridge_goes_on_once_there_is_some(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "stagebus")
    with small_disk() as disk, Client(disk.postgres.url()) as client:
        # Here the data cannot grow; there is log for a while.
        client.execute("select pg_switch_wal()")

        async def scenario() -> None:
            async with publishing(disk, bus) as job_id:
                refused = client.create_job()
                disk.fill()
                with pytest.raises(psycopg.errors.DiskFull):
                    client.create_stage_tasks(refused, 1, "tiles", 20_000)
                assert client.batches(refused) == []
                assert client.task_states(refused) == {}
                assert client.job(refused).status == "created"
                # A lane is told so, and asks again until its lease has run out.
                await becomes(lambda: said(caplog, "batch.lost"))
                unavailable = said(caplog, "database.unavailable")
                assert any("No space left" in fields["error"] for fields in unavailable)
                disk.free()
                # Nothing of the first try is in the way.
                client.create_stage_tasks(refused, 1, "tiles", 100)
                await becomes(lambda: all_queued(client))
                assert_delivered(client, bus, [job_id, refused])
                assert spent_attempts(client) == 0

        asyncio.run(scenario())


def test_a_bridge_outlives_a_server_that_goes_down_since_it_cannot_write_its_log(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "stagebus")
    with small_disk() as disk:

        async def scenario() -> None:
            async with publishing(disk, bus) as job_id:
                disk.fill()
                await asyncio.to_thread(write_log_until_it_goes_down, disk)
                await becomes(lambda: said(caplog, "batch.lost"))
                await asyncio.to_thread(disk.free)
                with Client(disk.postgres.url()) as client:
                    await becomes(lambda: all_queued(client))
                    assert_delivered(client, bus, [job_id])
                    assert spent_attempts(client) == 0
                    assert client.destination().status == "active"

        asyncio.run(scenario())


@asynccontextmanager
async def publishing(disk: Disk, bus: Bus) -> AsyncIterator[UUID]:
    """A bridge in the middle of a stage; yields its job."""
    settings = bus.settings(
        as_bridge(disk.postgres.url()), allow_fsync_off=False, lease=3.0, send_deadline=2.5
    )
    async with running(settings):
        with Client(disk.postgres.url()) as client:
            client.set_destination("tasks", max_send_messages=1)
            job_id = create_stage(client, 600, batch_size=150)
            await becomes(lambda: sends_of(client) >= 5)
        yield job_id


def write_log_until_it_goes_down(disk: Disk) -> None:
    with Client(disk.postgres.url()) as client:
        # More than there can be.
        log = "select pg_logical_emit_message(false, '', repeat('x', 1000000))"
        with pytest.raises(psycopg.OperationalError):
            client.execute(f"{log} from generate_series(1, 1000)")
        assert client.connection.broken
    assert "PANIC" in disk.postgres.log.read_text()


def spent_attempts(client: Client) -> int:
    spent: int = client.value("select sum(publish_attempts) from stagebus_data.batches")
    return spent
