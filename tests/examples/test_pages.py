"""The examples' pages, typed into psql as they are, beside a real bridge and a real worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from bridge.settings import Settings
from bridge.worker import Handler, Worker
from examples.diamond import worker as diamond
from examples.tile_pyramid import worker as tile_pyramid
from tests.bridge.conftest import LOSES_CONNECTIONS, Queue, running
from tests.client import Client
from tests.eventually import becomes
from tests.examples.conftest import EXAMPLES
from tests.psql import Psql, blocks

Make = Callable[..., Settings]

pytestmark = LOSES_CONNECTIONS


def follow(
    client: Client, queue: Queue, settings: Make, worker_url: str, name: str, handler: Handler
) -> list[list[str]]:
    """Runs the blocks of an example's page; each begins when all jobs so far are over or wait.

    Returns what psql printed, by block.
    """

    def type_in(script: str) -> list[str]:
        printed.append(psql.run(script))
        return printed[-1]

    def all_quiet() -> bool:
        return bool(
            client.value(
                "select not exists (select from stagebus_data.due_advances"
                " join stagebus_data.jobs as j using (job_id)"
                " join stagebus_data.job_advances as a using (job_id)"
                " where a.failures = 0 or j.cancelling)"
                " and not exists (select from stagebus.stages where status = 'open')"
                " and not exists (select from stagebus.orders where status = 'working')"
            )
        )

    async def scenario() -> None:
        worker = Worker(worker_url, queue.connection_string, handler, queue=queue.name)
        work = asyncio.create_task(worker.run())
        try:
            async with running(settings()):
                for block in blocks(EXAMPLES / name / "README.md"):
                    await asyncio.to_thread(type_in, block)
                    await becomes(all_quiet)
        finally:
            worker.stop()
            await work

    printed: list[list[str]] = []
    with Psql(client.url) as psql:
        for script in ("setup.sql", "plan.sql"):
            psql.run_file(EXAMPLES / name / script)
        asyncio.run(scenario())
    return printed


def job_states(client: Client) -> list[Any]:
    return client.column("select status from stagebus.jobs order by job_id")


def test_the_page_of_the_tile_pyramid(
    client: Client, queue: Queue, settings: Make, worker_url: str
) -> None:
    _, after, _, lost = follow(
        client, queue, settings, worker_url, "tile_pyramid", tile_pyramid.work
    )
    assert after == [
        "zoom_8|1|completed|256",
        "zoom_7|2|completed|64",
        "zoom_6|3|completed|16",
        "zoom_5|4|completed|4",
        "zoom_4|5|completed|1",
        "clean_up|6|completed|1",
        after[6],
        "completed",
    ]
    assert '"tiles": 256' in after[6]
    assert any("the job has no box" in line for line in lost)
    assert job_states(client) == ["completed", "cancelled"]
    assert queue.stored == 256 + 64 + 16 + 4 + 1 + 1 + 1


def test_the_page_of_the_diamond(
    client: Client, queue: Queue, settings: Make, worker_url: str
) -> None:
    first, after, _, failed, _ = follow(
        client, queue, settings, worker_url, "diamond", diamond.work
    )
    assert 'forecast|stations|$."parameters"."days"|0|t|' in first
    assert 'forecast|stations|$."parameters"."days"|3|f|' in first
    assert after[:4] == [
        "stations|1|completed|1",
        "levels|2|completed_with_errors|40",
        "forecast|3|skipped|0",
        "report|4|completed|4",
    ]
    assert after[-1] == "completed_with_errors"
    assert failed[:4] == [
        "stations|1|completed|1",
        "levels|2|failed|40",
        "forecast|3|completed|3",
        "report|4|never began|",
    ]
    assert job_states(client) == ["completed_with_errors", "completed_with_errors"]
