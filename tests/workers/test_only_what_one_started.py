"""A worker settles what it started, and nothing of another's, whatever it knows of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest

from tests.client import Client, PublishedStage

MINE, THEIRS = UUID(int=1), UUID(int=2)

#: Each answers null, or a verdict that says that nothing was done.
CALLS: dict[str, Callable[[Client, str, UUID], object]] = {
    "heartbeat_tasks": lambda worker, task, token: worker.heartbeat_tasks([task], token)[0][1],
    "heartbeat_task": lambda worker, task, token: worker.heartbeat_task(task, token),
    "complete_tasks": lambda worker, task, token: worker.complete_tasks([task], token)[0],
    "complete_task": lambda worker, task, token: worker.value(
        "select stagebus.complete_task(%s, %s)", task, token
    ),
    "fail_tasks": lambda worker, task, token: worker.fail_tasks([task], token, ["no"])[0].verdict,
    "fail_task": lambda worker, task, token: worker.fail_task(task, token),
}


@pytest.fixture
def published(client: Client) -> PublishedStage:
    client.stop_clock()
    stage = client.published_stage(tasks=2)
    client.start_all(stage.messages[:1], THEIRS)
    return stage


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("of", ["another", "nobody"])
def test_another_token_settles_nothing(
    client: Client, published: PublishedStage, call: str, of: str
) -> None:
    worker = client.session("stagebus_worker")
    task = published.task_ids[0 if of == "another" else 1]
    before = client.contents()
    for token in (MINE, UUID(int=0)):
        answer = CALLS[call](worker, task, token)
        assert answer in (None, "taken", "stale"), answer
    assert client.contents() == before
    assert CALLS[call](worker, published.task_ids[0], THEIRS) not in (None, answer)


def test_who_took_an_attempt_over_has_it_alone(client: Client, published: PublishedStage) -> None:
    worker = client.session("stagebus_worker")
    client.advance(timedelta(hours=1))
    assert worker.start_all(published.messages[:1], MINE) == ["run"]
    before = client.contents()
    for call in CALLS.values():
        call(worker, published.task_ids[0], THEIRS)
    assert client.contents() == before
    assert worker.complete_tasks(published.task_ids[:1], MINE) == ["completed"]
