"""Versions of a contract side by side: a later one only adds what an earlier one may ignore."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import Field

from bridge.contracts.base import VERSION, Contract
from bridge.contracts.tasks import TaskQueueMessage, TaskRecord
from bridge.exact_json import dumps
from bridge.schemas import CONTRACTS
from tests.client import Client, Message


class TaskQueueMessageV2(TaskQueueMessage):
    """As the next version may look: fields that were added, each with a default."""

    priority: Literal["low", "high"] = "low"
    trace: dict[str, str] = Field(default_factory=dict)


class TaskRecordV2(TaskRecord):
    """The view with a column more."""

    output_bytes: int | None = None


def later(message: Message) -> bytes:
    """The body as the next version may write it."""
    return dumps(
        {"trace": {"id": "7"}, **message.content, "schema_version": VERSION + 1, "priority": "high"}
    ).encode()


def test_a_message_of_the_next_version_is_read_by_this_one(client: Client) -> None:
    (message,) = client.published_stage(parameters={"zoom": 5}).messages
    now = TaskQueueMessage.model_validate_json(message.body)
    read = TaskQueueMessage.model_validate_json(later(message))
    assert read.schema_version == VERSION + 1
    assert read.model_dump(exclude={"schema_version"}) == now.model_dump(exclude={"schema_version"})
    assert not hasattr(read, "priority")


def test_a_message_of_this_version_is_read_by_the_next(client: Client) -> None:
    (message,) = client.published_stage(parameters={"zoom": 5}).messages
    read = TaskQueueMessageV2.model_validate_json(message.body)
    assert (read.schema_version, read.priority, read.trace) == (VERSION, "low", {})
    assert read.parameters == {"zoom": 5, "index": 1}
    newest = TaskQueueMessageV2.model_validate_json(later(message))
    assert (newest.schema_version, newest.priority, newest.trace) == (2, "high", {"id": "7"})


def test_a_view_with_a_column_more_or_less_is_read(client: Client) -> None:
    published = client.published_stage()
    row = client.task(published.task_ids[0])._asdict()
    assert TaskRecord.model_validate({**row, "output_bytes": 7}) == TaskRecord.model_validate(row)
    assert TaskRecordV2.model_validate(row).output_bytes is None
    # A column that was added to the view since the server was last migrated.
    del row["retry_at"]
    assert TaskRecord.model_validate(row).retry_at is None


#: What version 1 of each contract cannot be without. It never grows: a field that is added later
#: has a default, so that what was written before it can be read.
REQUIRED_IN_VERSION_1 = {
    "JobRecord": {"job_id", "job_type", "status", "parameters", "created_at", "created_by"},
    "TaskRecord": {
        *("task_id", "job_id", "stage", "task_index"),
        *("task_type", "status", "attempt", "parameters"),
    },
    "JobQueueMessage": {
        *("schema_version", "job_id", "job_type", "event", "status", "parameters"),
    },
    "TaskQueueMessage": {
        *("schema_version", "task_id", "job_id", "job_type", "stage", "task_index"),
        *("task_type", "attempt", "nonce", "batch_id", "parameters"),
    },
}


@pytest.mark.parametrize("contract", CONTRACTS)
def test_no_field_is_required_that_version_1_does_not_require(contract: type[Contract]) -> None:
    required = {name for name, field in contract.model_fields.items() if field.is_required()}
    assert required == REQUIRED_IN_VERSION_1[contract.__name__]


@pytest.mark.parametrize("version", [0, -1, "1", 1.0, None, True, "2.0"])
def test_a_version_is_a_whole_number_from_1(client: Client, version: Any) -> None:
    (message,) = client.published_stage().messages
    body = dumps({**message.content, "schema_version": version})
    with pytest.raises(ValueError, match="schema_version"):
        TaskQueueMessage.model_validate_json(body)
