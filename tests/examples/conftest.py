"""The examples' plans, defined as their pages say: by an administrator and a producer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from bridge.task_calls import TaskFailed
from bridge.worker import Outcome, StartedTask
from tests.bridge.conftest import (
    audiences,
    bridge_url,
    collect_garbage,
    empty_queue,
    endpoint,
    queue,
    settings,
    worker_url,
)
from tests.client import Client
from tests.conftest import CALLER
from tests.psql import Psql

__all__ = [
    "audiences", "bridge_url", "collect_garbage", "empty_queue", "endpoint", "queue", "settings",
    "worker_url",
]  # fmt: skip

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

Handler = Callable[[list[StartedTask]], list[Outcome]]


@pytest.fixture
def define(client: Client, caller: Client) -> Callable[[str], Client]:
    """Runs the files of an example; returns the producer's session, and may be called again."""

    def run(name: str) -> Client:
        with Psql(client.url) as psql:
            psql.set("producer", CALLER)
            psql.run_file(EXAMPLES / name / "setup.sql")
        with Psql(client.url, role=CALLER) as psql:
            psql.run_file(EXAMPLES / name / "plan.sql")
        return caller

    return run


def work_off(client: Client, handler: Handler) -> None:
    """Publishes what is ready, as a bridge does, and ends all of its tasks, as a worker does."""
    messages = client.publish()
    if not messages:
        return
    token = uuid4()
    started = client.start_tasks(
        [message.task_id for message in messages],
        [message.attempt for message in messages],
        [message.nonce for message in messages],
        token,
    )
    types = {message.task_id: str(message.content["task_type"]) for message in messages}
    tasks = [StartedTask(row.task_id, types[row.task_id], row.parameters or {}) for row in started]
    outcomes = handler(tasks)
    for task, outcome in zip(tasks, outcomes, strict=True):
        if isinstance(outcome, TaskFailed):
            client.fail_tasks([task.task_id], token, [outcome.error], retry=outcome.retry)
        else:
            client.complete_task(task.task_id, token, outcome)


def run_job(client: Client, producer: Client, job_id: UUID, handler: Handler) -> list[str]:
    """Advances the job and works its tasks off until nothing is due; what each advance made."""
    notes = []
    while job_id in client.due_jobs():
        done = producer.advance_job(job_id)
        assert done.status in ("advanced", "nothing to make"), client.job(job_id)
        notes += [done.note] if done.stages else []
        work_off(client, handler)
    return notes


def results(producer: Client, job_id: UUID, name: str) -> list[Any]:
    return producer.column(
        "select result from stagebus.stage_results_by_name(%s, %s)", job_id, name
    )


def names(rows: Iterable[Any]) -> list[str]:
    return [row.name for row in rows]
