"""The messages and rows that cross stagebus' edges, as typed models."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue

TaskStatus = Literal[
    "pending_queue", "queued", "processing", "retry_wait", "completed", "failed", "cancelled"
]
StageStatus = Literal[
    "filling",
    "provisional",
    "blocked",
    "open",
    "completed",
    "completed_with_errors",
    "failed",
    "cancelled",
]
JobStatus = Literal[
    "created", "running", "completed", "completed_with_errors", "failed", "cancelled"
]

Stage = Annotated[int, Field(ge=1, le=32767)]
TaskIndex = Annotated[int, Field(ge=1, le=999_999_999)]


class _Contract(BaseModel):
    """A newer sender may add fields: a reader passes over what it does not know."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class TaskQueueMessage(_Contract):
    """The body of a task's message: UTF-8 JSON, rendered by stagebus.batch_messages."""

    schema_version: int = Field(ge=1, description="Version of this contract; 1 so far.")
    task_id: str = Field(description="{job_id}-s{stage}-{task_index}.")
    job_id: UUID
    job_type: str = Field(min_length=1, max_length=100)
    stage: Stage
    task_index: TaskIndex = Field(description="From 1, without gaps within the stage.")
    task_type: str = Field(min_length=1, max_length=100)
    attempt: int = Field(ge=1, description="Which try at the task's work this message asks for.")
    nonce: str = Field(
        pattern="^[0-9a-f]{10}$",
        description="Drawn when the stage was made; start_task wants it back.",
    )
    batch_id: UUID
    parameters: dict[str, JsonValue] = Field(
        description="The stage's common parameters and the task's own, which win."
    )


class JobQueueMessage(_Contract):
    """The body of a job's message, for a controller in any language."""

    schema_version: int = Field(ge=1, description="Version of this contract; 1 so far.")
    job_id: UUID
    job_type: str = Field(min_length=1, max_length=100)
    event: Literal["stage_ended", "job_ended"]
    stage: Stage | None = None
    status: str
    parameters: dict[str, JsonValue]


class JobRecord(_Contract):
    """A row of the view stagebus.jobs."""

    job_id: UUID
    job_type: str
    status: JobStatus
    parameters: dict[str, JsonValue]
    created_at: datetime
    created_by: str
    started_at: datetime | None = None
    ended_at: datetime | None = None
    dedupe_key: str | None = None
    due_after_stage: int | None = None
    due_since: datetime | None = None


class TaskRecord(_Contract):
    """A row of the view stagebus.tasks."""

    task_id: str
    job_id: UUID
    stage: Stage
    task_index: TaskIndex
    task_type: str
    status: TaskStatus
    attempt: int
    batch_id: UUID | None = None
    batch_queued_at: datetime | None = None
    parameters: dict[str, JsonValue]
    result: JsonValue = None
    worker: str | None = None
    started_at: datetime | None = None
    lease_until: datetime | None = None
    error: str | None = None
    retry_at: datetime | None = None
