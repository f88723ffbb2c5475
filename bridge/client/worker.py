"""A worker's calls: may I, I am alive, done, or failed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from bridge.client.call import Call, texts
from bridge.exact_json import Json, loads


class StartedTask(NamedTuple):
    """The verdict on a message; parameters and lease come with `run`, the delay with `wait`."""

    task_id: str
    verdict: str
    parameters: dict[str, Json] | None
    lease_until: datetime | None
    ask_again_after: timedelta | None


class FailedTask(NamedTuple):
    """What a failure came to: `retry_wait` until retry_at, `failed`, or why it changed nothing."""

    task_id: str
    verdict: str
    retry_at: datetime | None


def _object(text: str) -> dict[str, Json]:
    value = loads(text)
    assert isinstance(value, dict), "parameters are an object"
    return value


def start_tasks(
    asked: Sequence[tuple[str, int, str]], token: UUID, worker: str | None = None
) -> Call[list[StartedTask]]:
    """A verdict for each (task_id, attempt, nonce) of a message, in order."""

    def read(rows: Sequence[Any]) -> list[StartedTask]:
        return [
            StartedTask(task_id, verdict, text and _object(text), lease, delay)
            for task_id, verdict, text, lease, delay in rows
        ]

    return Call(
        "select task_id, verdict, parameters::text, lease_until, ask_again_after"
        " from stagebus.start_tasks(%s, %s::integer[], %s, %s, %s)",
        (
            [task_id for task_id, _, _ in asked],
            [attempt for _, attempt, _ in asked],
            [nonce for _, _, nonce in asked],
            token,
            worker,
        ),
        read,
    )


def heartbeat_tasks(
    task_ids: Sequence[str], token: UUID
) -> Call[list[tuple[str, datetime | None]]]:
    """The new end of each lease, in order; None when the task is no longer the token's."""
    return Call(
        "select task_id, lease_until from stagebus.heartbeat_tasks(%s, %s)",
        (list(task_ids), token),
        list,
    )


def complete_tasks(
    task_ids: Sequence[str], token: UUID, results: Sequence[Json] | None = None
) -> Call[list[tuple[str, str]]]:
    """Each task's id and verdict, in order; `completed` counts, any other changed nothing."""
    return Call(
        "select task_id, verdict from stagebus.complete_tasks(%s, %s, %s::text[]::jsonb[])",
        (list(task_ids), token, None if results is None else texts(results)),
        list,
    )


def fail_tasks(
    task_ids: Sequence[str], token: UUID, errors: Sequence[str], *, retry: bool = True
) -> Call[list[FailedTask]]:
    """Ends attempts with an error each; the task type decides about the next."""
    return Call(
        "select task_id, verdict, retry_at from stagebus.fail_tasks(%s, %s, %s, retry => %s)",
        (list(task_ids), token, list(errors), retry),
        lambda rows: [FailedTask(*row) for row in rows],
    )
