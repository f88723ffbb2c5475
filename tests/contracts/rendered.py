"""What SQL renders of parameters that a test gives as JSON text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from bridge.contracts.tasks import TaskQueueMessage
from bridge.exact_json import dumps
from tests.client import Client, Message


@dataclass(frozen=True)
class Rendered:
    """A stage whose messages have been read as a bridge reads them."""

    job_id: UUID
    body_bytes: int
    messages: list[Message]

    @property
    def models(self) -> list[TaskQueueMessage]:
        return [TaskQueueMessage.model_validate_json(message.body) for message in self.messages]


def render(
    client: Client,
    tasks: Sequence[Any],
    common: Any = None,
    *,
    job_type: str = "tiles",
    task_type: str = "h3_hexagon",
) -> Rendered:
    """One job with one stage of these tasks; numbers reach SQL as they are."""
    job_id = client.create_job(job_type)
    size = client.value(
        "select (stagebus.create_stage_tasks_from_array("
        "%s, 1, %s, %s::jsonb[], parameters => %s::jsonb)).bytes",
        job_id,
        task_type,
        [dumps(task) for task in tasks],
        dumps({} if common is None else common),
    )
    messages = client.publish()
    assert len(messages) == len(tasks)
    return Rendered(job_id, size, messages)


def normal(value: Any) -> Any:
    """The same value with each number as a Decimal: equal when no number has changed.

    A float stands for the number that is written for it. jsonb has no negative zero.
    """
    if isinstance(value, dict):
        return {key: normal(part) for key, part in value.items()}
    if isinstance(value, list):
        return [normal(part) for part in value]
    if isinstance(value, float):
        return ("number", Decimal(repr(value)))
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return ("number", Decimal(value))
    return value
