"""The reference worker when the broker does not answer a renewal."""

from __future__ import annotations

import asyncio

import pytest

from bridge.exact_json import Json
from bridge.worker import Worker
from tests.bridge.conftest import LOSES_CONNECTIONS, Queue, through
from tests.bridge.gate import Gate
from tests.bridge.test_database_away import events
from tests.bridge.test_worker import deliver, working
from tests.client import Client, PublishedStage
from tests.eventually import becomes

pytestmark = LOSES_CONNECTIONS


def test_one_renewal_that_nobody_answers_costs_the_link_and_no_further_renewal_is_waited_for(
    client: Client,
    queue: Queue,
    gate: Gate,
    worker_url: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("bridge.locks.SETTLE_DEADLINE", 0.5)
    monkeypatch.setattr("bridge.locks.RENEWAL", 0.0)
    told = client.provisional_stage(6)
    deliver(queue, PublishedStage(told.job_id, 1, client.batch_messages(client.claim())))
    connection_string = through(queue.connection_string, gate.port)

    def handler(tasks: object) -> list[Json]:
        raise AssertionError(f"nothing may run yet: {tasks}")

    async def scenario() -> None:
        caplog.set_level("INFO")
        worker = Worker(worker_url, connection_string, handler, queue=queue.name)
        async with working(worker):
            await becomes(lambda: queue.counts["locked"] == 6)
            gate.hold_answers()
            await becomes(lambda: "message.lock_lost" in events(caplog))
            gate.open()
            await becomes(lambda: "worker.waiting" in events(caplog))

    asyncio.run(scenario())
    assert events(caplog).count("message.lock_lost") == 1
