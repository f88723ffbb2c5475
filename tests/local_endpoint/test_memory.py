"""What the endpoint keeps of a message: a million of 300 bytes must fit in 1 GiB."""

from __future__ import annotations

import asyncio

from benchmarks.endpoint import PROCESS, client_of, send
from bridge.local.endpoint.process import RunningEndpoint, run_endpoint

MESSAGES = 100_000
MOST_BYTES = 1024**3 / 1_000_000


def memory(endpoint: RunningEndpoint) -> int:
    return int(endpoint.get("/counts")[PROCESS]["max_rss_bytes"])  # type: ignore[index]


def test_a_message_that_waits_costs_little_more_than_its_bytes() -> None:
    async def work(endpoint: RunningEndpoint, messages: int) -> int:
        async with client_of(endpoint) as client:
            return await send(client, messages)

    with run_endpoint(["tasks"]) as endpoint:
        asyncio.run(work(endpoint, 1))
        before = memory(endpoint)
        sent = asyncio.run(work(endpoint, MESSAGES))
        counts = endpoint.counts()["entities"]["tasks"]
        assert counts["active"] == counts["remembered_ids"] == sent
        assert (memory(endpoint) - before) / sent < MOST_BYTES
