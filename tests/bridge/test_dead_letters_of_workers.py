"""Real workers that one message in a hundred kills: the dead letters of the run come home."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from uuid import UUID

import pytest
from pydantic import JsonValue

from bridge import dead_letters
from bridge.kept import Messages
from bridge.local.endpoint.process import RunningEndpoint, run_endpoint
from bridge.locks import Link
from bridge.settings import Settings
from bridge.worker import StartedTask, Worker
from tests.bridge.conftest import LOSES_CONNECTIONS, Queue, create_stage, running
from tests.bridge.test_worker import working
from tests.client import Client
from tests.eventually import becomes

pytestmark = LOSES_CONNECTIONS

TASKS = 1000
FAILING = TASKS // 100
DELIVERIES = 3
#: Seconds from a message's death until its task is in dead_tasks.
HOME_WITHIN = 5.0


class FailingWorker(Worker):
    """The reference worker, but it never gets to ask for every hundredth task in a first attempt.

    As one that runs out of memory over the message: the broker has it back, and gives it up.
    """

    died_at: dict[str, float]
    """By task id, on time.time()."""

    async def _work(self, link: Link, held: Messages, token: UUID) -> tuple[Messages, float]:
        for asked in list(held):
            if asked.attempt == 1 and int(asked.task_id.rsplit("-", 1)[1]) % 100 == 0:
                for message in held.pop(asked):
                    if message.delivery_count == DELIVERIES - 1:
                        self.died_at[asked.task_id] = time.time()
                    async with link.using:
                        await link.receiver.abandon_message(message)
                    link.let_go([message])
        return await super()._work(link, held, token) if held else ({}, 0.0)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[RunningEndpoint]:
    queues = [f"tasks-{number}" for number in range(1, 300)]
    with run_endpoint(queues, arguments=["--max-delivery-count", str(DELIVERIES)]) as started:
        yield started


def test_the_dead_letters_of_failing_workers_are_home_in_5_seconds_and_redriven_once(
    client: Client,
    queue: Queue,
    settings: Callable[..., Settings],
    worker_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dead_letters, "FIRST_LOOK", 0.0)
    done: Counter[str] = Counter()
    died_at: dict[str, float] = {}

    def handler(tasks: Sequence[StartedTask]) -> list[JsonValue]:
        done.update(task.task_id for task in tasks)
        return [None] * len(tasks)

    def worker() -> Worker:
        made = FailingWorker(worker_url, queue.connection_string, handler, queue=queue.name)
        made.died_at = died_at
        return made

    job_id = create_stage(client, TASKS, max_attempts=1)

    async def scenario() -> dict[str, float]:
        async with running(settings()), working(worker()), working(worker()):
            await becomes(lambda: client.stage(job_id).status == "completed_with_errors")
            dead: dict[str, float] = dict(
                client.rows(
                    "select task_id, extract(epoch from failed_at)::float8 from stagebus.dead_tasks"
                )
            )
            for _ in range(2):
                client.order("redrive", job_id, 1)
            await becomes(lambda: client.stage(job_id).status == "completed")
            return dead

    dead = asyncio.run(scenario())
    assert len(dead) == FAILING
    assert dead.keys() == died_at.keys()
    assert max(dead[task_id] - at for task_id, at in died_at.items()) < HOME_WITHIN
    assert client.column("select outcome from stagebus.dead_letters") == ["failed"] * FAILING
    assert set(done.values()) == {1}, "each was done once"
    assert len(done) == TASKS
    assert queue.stored == TASKS + FAILING, "each went out once, and the dead ones once more"
    assert queue.dead == 0
    assert client.recount(job_id) == []
