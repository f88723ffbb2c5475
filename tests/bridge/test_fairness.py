"""Who is published first, and how fast, by a bridge at work."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from bridge.settings import Settings
from tests.bridge.conftest import Queue, all_queued, create_stage, running, states
from tests.client import Client
from tests.eventually import becomes

Make = Callable[..., Settings]


def test_small_jobs_are_on_the_bus_long_before_a_large_one(
    client: Client, queue: Queue, settings: Make
) -> None:
    create_stage(client, 60_000, batch_size=50)

    def queued(job_id: object) -> bool:
        return {batch.state for batch in client.batches(job_id)} == {"queued"}

    async def scenario() -> list[float]:
        took = []
        async with running(settings(connections=2)):
            for _ in range(5):
                before = states(client).get("queued", 0)
                await becomes(lambda before=before: states(client).get("queued", 0) > before + 20)
                began = time.monotonic()
                small = create_stage(client, 100, batch_size=50)
                await becomes(lambda small=small: queued(small), 10)
                took.append(time.monotonic() - began)
            # All that the small ones overtook is still there: the bridge was busy all the time.
            assert states(client)["pending_queue"] > 100
            await becomes(lambda: all_queued(client), 60)
        return took

    assert max(asyncio.run(scenario())) < 2
    assert queue.stored == 60_500
    assert queue.counts["duplicates_dropped"] == 0


def test_a_bridge_keeps_to_a_rate_limit_until_it_is_removed(
    client: Client, queue: Queue, settings: Make
) -> None:
    client.execute("select stagebus.set_rate_limit('tasks', 100)")
    create_stage(client, 2000, batch_size=10)

    async def scenario() -> tuple[float, float]:
        began = time.monotonic()
        # By polling alone it would look too seldom.
        async with running(settings(poll=60)):
            await becomes(lambda: queue.stored >= 300)
            limited = time.monotonic() - began
            assert queue.stored < 500
            client.execute("select stagebus.set_rate_limit('tasks', null)")
            began = time.monotonic()
            await becomes(lambda: all_queued(client))
        return limited, time.monotonic() - began

    limited, unlimited = asyncio.run(scenario())
    # A batch before anything is owed.
    assert 2.8 < limited < 8
    assert unlimited < 5
    assert queue.stored == 2000
