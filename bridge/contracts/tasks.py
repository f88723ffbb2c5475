"""The contracts of a task: the body of its message, and its row in the view."""

from __future__ import annotations

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, Field, model_validator

from bridge.contracts.base import (
    BY_BRIDGE,
    BY_CALLER,
    BY_SQL,
    BY_WORKER,
    Contract,
    JsonObject,
    JsonValue,
    SchemaVersion,
    Stage,
    TypeName,
)

TaskStatus = Literal[
    "pending_queue", "queued", "processing", "retry_wait", "completed", "failed", "cancelled"
]

TaskIndex = Annotated[int, Field(strict=True, ge=1, le=999_999_999)]
Attempt = Annotated[int, Field(strict=True, ge=1, le=32_767)]
#: The form alone; that its parts are those of the other fields, the models check.
TaskId = Annotated[
    str,
    Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-s[1-9][0-9]{0,4}-[1-9][0-9]{0,8}$"),
]
Nonce = Annotated[str, Field(pattern="^[0-9a-f]{10}$")]


class _OfATask(Contract):
    """What names one task, in its id and apart."""

    task_id: TaskId = Field(
        description="The task's id: {job_id}-s{stage}-{task_index}.", json_schema_extra=BY_SQL
    )
    job_id: UUID = Field(
        description="The task's job, a time-ordered UUID (version 7).", json_schema_extra=BY_SQL
    )
    stage: Stage = Field(
        description="The stage's number within the job, from 1 without gaps.",
        json_schema_extra=BY_CALLER,
    )
    task_index: TaskIndex = Field(
        description="The task's number within the stage, from 1 without gaps.",
        json_schema_extra=BY_SQL,
    )

    @model_validator(mode="after")
    def _the_id_is_made_of_its_parts(self) -> Self:
        made = f"{self.job_id}-s{self.stage}-{self.task_index}"
        if self.task_id != made:
            raise ValueError(
                f"task_id is {self.task_id}, but job_id, stage and task_index make {made}"
            )
        return self


class TaskQueueMessage(_OfATask):
    """The body of a task's message: UTF-8 JSON, rendered by stagebus.batch_messages."""

    schema_version: SchemaVersion = Field(
        description="The version of this contract that the body was written to; 1 so far.",
        json_schema_extra=BY_SQL,
    )
    job_type: TypeName = Field(
        description="The job's type, as given to create_job; 1 to 100 characters.",
        json_schema_extra=BY_CALLER,
    )
    task_type: TypeName = Field(
        description="What a worker must do, as defined by set_task_type; 1 to 100 characters.",
        json_schema_extra=BY_CALLER,
    )
    attempt: Attempt = Field(
        description="Which try at the task's work the message asks for, from 1.",
        json_schema_extra=BY_SQL,
    )
    nonce: Nonce = Field(
        description="10 hexadecimal digits, drawn at random when the stage was made; start_tasks "
        "wants them back and knows by them the messages of a stage that was rolled back.",
        json_schema_extra=BY_SQL,
    )
    batch_id: UUID = Field(
        description="The batch in which the message was published.", json_schema_extra=BY_SQL
    )
    parameters: JsonObject = Field(
        description="The stage's common parameters and the task's own, which win; a numbered task "
        'has {"index": task_index}. No value lies inside more than 60 objects and arrays.',
        json_schema_extra=BY_CALLER,
    )


class TaskRecord(_OfATask):
    """A row of the view stagebus.tasks."""

    task_type: TypeName = Field(
        description="What a worker must do, as defined by set_task_type; 1 to 100 characters.",
        json_schema_extra=BY_CALLER,
    )
    status: TaskStatus = Field(
        description="pending_queue and queued are its batch's: the broker has not, or has, taken "
        "the batch; every other is the task's own.",
        json_schema_extra=BY_SQL,
    )
    attempt: Attempt = Field(
        description="Which try at the task's work is due, runs, or was the last, from 1.",
        json_schema_extra=BY_SQL,
    )
    batch_id: UUID | None = Field(
        default=None,
        description="The batch it was last put in; null while its stage is filling.",
        json_schema_extra=BY_SQL,
    )
    batch_queued_at: AwareDatetime | None = Field(
        default=None,
        description="When the broker had accepted all of that batch, in UTC; null before.",
        json_schema_extra=BY_BRIDGE,
    )
    parameters: JsonObject = Field(
        description="The stage's common parameters and the task's own, which win.",
        json_schema_extra=BY_CALLER,
    )
    result: JsonValue = Field(
        default=None,
        description="What complete_tasks was given, at most 65,536 bytes as text; null for none.",
        json_schema_extra=BY_WORKER,
    )
    worker: str | None = Field(
        default=None,
        description="The name that the worker gave to start_tasks, while it runs.",
        json_schema_extra=BY_WORKER,
    )
    started_at: AwareDatetime | None = Field(
        default=None,
        description="When the running attempt was started or taken over, in UTC.",
        json_schema_extra=BY_SQL,
    )
    lease_until: AwareDatetime | None = Field(
        default=None,
        description="Until when the running attempt is its worker's alone, in UTC.",
        json_schema_extra=BY_SQL,
    )
    error: str | None = Field(
        default=None,
        description="Why the last attempt ended, for a task that failed or waits for its next.",
        json_schema_extra=BY_SQL,
    )
    retry_at: AwareDatetime | None = Field(
        default=None,
        description="When its next attempt is due, in UTC; null unless it waits for one.",
        json_schema_extra=BY_SQL,
    )
