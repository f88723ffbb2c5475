"""The reference worker when its handler fails, raises, or takes longer than a lease."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage

from bridge.exact_json import Json
from bridge.task_calls import TaskFailed
from bridge.worker import Outcome, StartedTask, Worker
from tests.bridge.conftest import Queue
from tests.client import Client
from tests.eventually import becomes


def send(client: Client, queue: Queue, tasks: int) -> Any:
    client.set_task_type("work", max_attempts=2, timeout="1 second", retry_delay="10 minutes")
    published = client.published_stage(tasks, "work")
    queue.send([ServiceBusMessage(message.body) for message in published.messages])
    return published


def work(worker: Worker, until: Any) -> None:
    async def scenario() -> None:
        task = asyncio.create_task(worker.run())
        try:
            await becomes(until, 20)
        finally:
            worker.stop()
            await task

    asyncio.run(scenario())


def test_a_handler_says_which_tasks_failed_and_whether_to_try_again(
    client: Client, queue: Queue, worker_url: str
) -> None:
    published = send(client, queue, 3)

    def handler(tasks: Sequence[StartedTask]) -> list[Outcome]:
        outcomes: dict[Json, Outcome] = {
            1: "done", 2: TaskFailed("no luck"), 3: TaskFailed("never\0 will", retry=False)
        }  # fmt: skip
        return [outcomes[task.parameters["index"]] for task in tasks]

    worker = Worker(worker_url, queue.connection_string, handler, queue=queue.name)
    work(worker, lambda: queue.counts["completed"] == 3)
    assert (worker.totals.completed, worker.totals.failed) == (1, 2)
    assert [
        (task.status, task.attempt, task.error) for task in map(client.task, published.task_ids)
    ] == [
        ("completed", 1, None),
        ("retry_wait", 2, "no luck"),
        ("failed", 1, "never\N{REPLACEMENT CHARACTER} will"),
    ]


def test_whatever_a_handler_says_of_a_failure_is_recorded_and_the_worker_goes_on(
    client: Client, queue: Queue, worker_url: str
) -> None:
    published = send(client, queue, 4)
    outcomes: dict[Json, Any] = {
        1: TaskFailed("bad \ud800 tile"),
        2: TaskFailed(b"caf\xe9"),  # type: ignore[arg-type]
        3: TaskFailed("as a number", retry=1),  # type: ignore[arg-type]
        4: None,
    }

    def handler(tasks: Sequence[StartedTask]) -> list[Outcome]:
        return [outcomes[task.parameters["index"]] for task in tasks]

    worker = Worker(worker_url, queue.connection_string, handler, queue=queue.name)
    work(worker, lambda: queue.counts["completed"] == 4)
    assert [(task.status, task.error) for task in map(client.task, published.task_ids)] == [
        ("retry_wait", "bad ? tile"),
        ("retry_wait", "caf\N{REPLACEMENT CHARACTER}"),
        ("retry_wait", "as a number"),
        ("completed", None),
    ]


@pytest.mark.parametrize(
    ("handler", "error"),
    [
        (lambda tasks: 1 // 0, "ZeroDivisionError: integer division or modulo by zero"),
        (lambda tasks: [], "the handler returned 0 outcomes for 2 tasks"),
    ],
)
def test_a_handler_that_raises_fails_its_tasks_and_the_worker_goes_on(
    client: Client, queue: Queue, worker_url: str, handler: Any, error: str
) -> None:
    published = send(client, queue, 2)
    worker = Worker(worker_url, queue.connection_string, handler, queue=queue.name)
    work(worker, lambda: queue.counts["completed"] == 2)
    assert [task.error for task in map(client.task, published.task_ids)] == [error] * 2
    assert client.task_states(published.job_id) == {"retry_wait": 2}


def test_long_work_keeps_its_lease(client: Client, queue: Queue, worker_url: str) -> None:
    published = send(client, queue, 1)
    go_on = threading.Event()

    def handler(tasks: Sequence[StartedTask]) -> list[Json]:
        go_on.wait(20)
        return [None] * len(tasks)

    def renewed() -> bool:
        renewals = client.column(
            "select 1 from stagebus_data.running_attempts"
            " where lease_until > started_at + interval '2.5 seconds'"
        )
        if renewals:
            assert client.end_lost_attempts() == 0
            go_on.set()
        return bool(renewals)

    worker = Worker(worker_url, queue.connection_string, handler, queue=queue.name)
    work(worker, lambda: renewed() or queue.counts["completed"] == 1)
    assert client.task(published.task_ids[0]).status == "completed"


def test_a_worker_hears_that_its_task_was_cancelled_while_it_works(
    client: Client, queue: Queue, worker_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    published = send(client, queue, 1)
    started, go_on = threading.Event(), threading.Event()

    def handler(tasks: Sequence[StartedTask]) -> list[Json]:
        started.set()
        go_on.wait(20)
        return [None] * len(tasks)

    def heard() -> bool:
        if started.is_set() and not client.count("orders"):
            client.order("cancel_job", published.job_id)
            client.work_orders()
        lost = any("task.lost" in record.getMessage() for record in caplog.records)
        if lost:
            go_on.set()
        return lost

    caplog.set_level("WARNING")
    worker = Worker(worker_url, queue.connection_string, handler, queue=queue.name)
    work(worker, heard)
    assert worker.totals.completed == worker.totals.failed == 0
    assert client.task_states(published.job_id) == {"cancelled": 1}
