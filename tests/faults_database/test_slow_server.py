"""A server so slow that a whole step of maintenance or of an order misses its deadline."""

from __future__ import annotations

import asyncio

import pytest

from bridge import connection, maintenance
from tests.bridge.conftest import LOSES_CONNECTIONS, all_queued, create_stage, running
from tests.client import Client
from tests.eventually import becomes
from tests.faults_database.conftest import Bus

pytestmark = LOSES_CONNECTIONS


def slow_down_orders(client: Client) -> None:
    """From here on a step takes too long for more than a quarter of its limit."""
    step = client.value(
        "select pg_get_functiondef('stagebus.work_order(bigint, integer)'::regprocedure)"
    )
    slowly = "if p_limit > 2500 then perform pg_sleep(30); end if;"
    client.execute(step.replace("\nbegin\n", f"\nbegin\n    {slowly}\n", 1))


def test_an_order_whose_steps_take_too_long_is_worked_off_in_smaller_ones(
    client: Client,
    bridge_url: str,
    bus: Bus,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(connection, "CALL_DEADLINE", 0.5)
    monkeypatch.setattr(maintenance, "INTERVAL", 0.1)
    caplog.set_level("INFO", "stagebus")
    slow_down_orders(client)

    async def scenario() -> None:
        async with running(bus.settings(bridge_url)):
            job_id = create_stage(client, 5000, batch_size=5000)
            await becomes(lambda: all_queued(client))
            client.order("cancel_stage", job_id, 1)
            await becomes(lambda: client.stage(job_id).status == "cancelled")

    asyncio.run(scenario())
    events = [record.getMessage() for record in caplog.records]
    assert events.count("order.step_failed") >= 2
