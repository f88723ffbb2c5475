"""The four contracts: what crosses stagebus' edges as a message or as a row, as typed models.

The limits are those that SQL enforces; tests/contracts tries both at their edges. Every field says
who sets it. docs/contracts.md says how versions live side by side, docs/schemas/ holds the JSON
Schemas (`python -m bridge.schemas` writes them).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeAlias
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from bridge.exact_json import Json, loads

EndStatus = Literal["completed", "completed_with_errors", "failed", "cancelled"]
JobStatus = Literal["created", "running", EndStatus]
StageStatus = Literal["filling", "provisional", "blocked", "open", EndStatus]
TaskStatus = Literal[
    "pending_queue", "queued", "processing", "retry_wait", "completed", "failed", "cancelled"
]

TypeName = Annotated[str, Field(min_length=1, max_length=100)]
Stage = Annotated[int, Field(strict=True, ge=1, le=32_767)]
TaskIndex = Annotated[int, Field(strict=True, ge=1, le=999_999_999)]
Attempt = Annotated[int, Field(strict=True, ge=1, le=32_767)]
SchemaVersion = Annotated[int, Field(strict=True, ge=1)]
#: The form alone; that its parts are those of the other fields, the models check.
TaskId = Annotated[
    str,
    Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-s[1-9][0-9]{0,4}-[1-9][0-9]{0,8}$"),
]
Nonce = Annotated[str, Field(pattern="^[0-9a-f]{10}$")]

# The values come from exact_json or from the database: nothing of them is left to check.
if TYPE_CHECKING:
    JsonObject: TypeAlias = dict[str, Json]
    JsonValue: TypeAlias = Json
else:
    JsonObject, JsonValue = dict[str, Any], Any

#: The version of the four contracts; messages carry it as schema_version.
VERSION = 1

# Who sets a field; in the schemas as "x-set-by".
BY_CALLER: dict[str, Any] = {"x-set-by": "caller"}
BY_SQL: dict[str, Any] = {"x-set-by": "SQL"}
BY_BRIDGE: dict[str, Any] = {"x-set-by": "bridge"}
BY_WORKER: dict[str, Any] = {"x-set-by": "worker"}


class Contract(BaseModel):
    """A newer writer may add fields: a reader passes over what it does not know."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **options: Any) -> Self:
        """Reads UTF-8 JSON without changing a number (see exact_json).

        Raises ValueError (a ValidationError is one) for what is not this contract's.
        """
        text = json_data if isinstance(json_data, str) else bytes(json_data)
        return cls.model_validate(loads(text), **options)


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


class JobQueueMessage(Contract):
    """The body of a job's message: UTF-8 JSON, for a controller in any language."""

    schema_version: SchemaVersion = Field(
        description="The version of this contract that the body was written to; 1 so far.",
        json_schema_extra=BY_SQL,
    )
    job_id: UUID = Field(
        description="The job, a time-ordered UUID (version 7).", json_schema_extra=BY_SQL
    )
    job_type: TypeName = Field(
        description="The job's type, as given to create_job; 1 to 100 characters.",
        json_schema_extra=BY_CALLER,
    )
    event: Literal["stage_ended", "job_ended"] = Field(
        description="What has happened: a stage's last task has ended, or the job has.",
        json_schema_extra=BY_SQL,
    )
    stage: Stage | None = Field(
        default=None,
        description="The number of the stage that ended; null or missing when the job has.",
        json_schema_extra=BY_SQL,
    )
    status: EndStatus = Field(
        description="How the stage or the job ended.", json_schema_extra=BY_SQL
    )
    parameters: JsonObject = Field(
        description="The job's parameters, as given to create_job.", json_schema_extra=BY_CALLER
    )

    @model_validator(mode="after")
    def _a_stage_is_named_exactly_when_one_ended(self) -> Self:
        if (self.event == "stage_ended") != (self.stage is not None):
            raise ValueError("stage is given with the event stage_ended, and with no other")
        return self


class JobRecord(Contract):
    """A row of the view stagebus.jobs."""

    job_id: UUID = Field(
        description="The job, a time-ordered UUID (version 7).", json_schema_extra=BY_SQL
    )
    job_type: TypeName = Field(
        description="The job's type, as given to create_job; 1 to 100 characters.",
        json_schema_extra=BY_CALLER,
    )
    status: JobStatus = Field(
        description="created until its first stage, running until finish_job, then how it ended.",
        json_schema_extra=BY_SQL,
    )
    parameters: JsonObject = Field(
        description="The job's parameters, as given to create_job.", json_schema_extra=BY_CALLER
    )
    created_at: AwareDatetime = Field(
        description="When create_job was called, on the database's clock; kept in UTC.",
        json_schema_extra=BY_SQL,
    )
    created_by: str = Field(
        description="The database's login that called create_job.", json_schema_extra=BY_SQL
    )
    started_at: AwareDatetime | None = Field(
        default=None,
        description="When its first stage was opened, in UTC; null before.",
        json_schema_extra=BY_SQL,
    )
    ended_at: AwareDatetime | None = Field(
        default=None,
        description="When it ended, in UTC; null before.",
        json_schema_extra=BY_SQL,
    )
    dedupe_key: Annotated[str, Field(min_length=1, max_length=512)] | None = Field(
        default=None,
        description="The key that gives the same job again, 1 to 512 characters; null for none.",
        json_schema_extra=BY_CALLER,
    )
    due_after_stage: Stage | None = Field(
        default=None,
        description="This stage has ended, and the next one or finish_job is due; null if not.",
        json_schema_extra=BY_SQL,
    )
    due_since: AwareDatetime | None = Field(
        default=None,
        description="When that stage ended, in UTC; null as due_after_stage is.",
        json_schema_extra=BY_SQL,
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


#: In the order in which docs/contracts.md describes them.
CONTRACTS: tuple[type[Contract], ...] = (JobRecord, TaskRecord, JobQueueMessage, TaskQueueMessage)


def reasons(error: Exception) -> str:
    """Why a message cannot be read: one line of at most 1,000 characters, without its values."""
    if not isinstance(error, ValidationError):
        return str(error)[:1000]
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(": ".join([*map(str, each["loc"]), each["msg"]]) for each in found)[:1000]
