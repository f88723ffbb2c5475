"""Bridges remove what has expired, a step in each round, beside all that they do else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from bridge import failpoints, maintenance
from bridge.settings import Settings
from tests.bridge.conftest import Queue, all_queued, create_stage, running
from tests.bridge.test_database_away import events
from tests.client import Client
from tests.eventually import becomes
from tests.operate.retention import (
    PARTITION,
    ended_job,
    left_behind,
    set_retention,
    status,
)

Make = Callable[..., Settings]


@pytest.fixture(autouse=True)
def frequent_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "INTERVAL", 0.1)


def expire(client: Client) -> None:
    """From here on the job's week has expired, and the time is the real one."""
    set_retention(client)
    client.execute("delete from stagebus_data.test_clock")


def test_a_bridge_removes_an_expired_week_and_goes_on_publishing(
    client: Client, queue: Queue, settings: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    job_id = ended_job(client)
    expire(client)

    async def scenario() -> None:
        async with running(settings()):
            await becomes(lambda: status(client) is None, 20)
            create_stage(client, 30)
            await becomes(lambda: all_queued(client))

    asyncio.run(scenario())
    assert left_behind(client, job_id) == set()
    assert queue.stored == 30
    assert [name for name in events(caplog) if name.startswith("retention.")] == [
        "retention.begun",
        "retention.dropped",
    ]


def test_a_step_that_fails_is_logged_and_keeps_nothing_else_from_being_done(
    client: Client, settings: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    ended_job(client)
    expire(client)
    client.execute("alter table stagebus_data.removals add constraint no_week_goes check (false)")

    async def scenario() -> None:
        async with running(settings()):
            await becomes(lambda: events(caplog).count("retention.step_failed") > 1)
            create_stage(client, 3)
            await becomes(lambda: all_queued(client))
            client.execute("alter table stagebus_data.removals drop constraint no_week_goes")
            await becomes(lambda: status(client) is None, 20)

    asyncio.run(scenario())


@pytest.mark.parametrize("point", ["drop_expired.before", "drop_expired.after"])
def test_a_bridge_that_fails_at_each_second_step_removes_all_the_same(
    client: Client,
    settings: Make,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    point: str,
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(maintenance, "REMOVAL_LIMIT", 5)
    job_id = ended_job(client)
    expire(client)
    failpoints.switch_on(";".join(f"{point}=raise@{number}" for number in (1, 3, 5)))

    async def scenario() -> None:
        try:
            async with running(settings()):
                await becomes(lambda: status(client) is None, 30)
        finally:
            failpoints.switch_on(None)

    asyncio.run(scenario())
    assert left_behind(client, job_id) == set()
    assert events(caplog).count("maintenance.crashed") == 3
    assert client.value("select partition from stagebus_data.removals") == PARTITION
