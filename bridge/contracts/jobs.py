"""The contracts of a job: the body of its message, and its row in the view."""

from __future__ import annotations

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, Field, model_validator

from bridge.contracts.base import (
    BY_CALLER,
    BY_SQL,
    Contract,
    EndStatus,
    JsonObject,
    SchemaVersion,
    Stage,
    TypeName,
)

JobStatus = Literal["created", "running", EndStatus]


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
        description="created until its first stage, running until finish_job or its plan's end,"
        " then how it ended.",
        json_schema_extra=BY_SQL,
    )
    parameters: JsonObject = Field(
        description="The job's parameters, as given to create_job or submit_job.",
        json_schema_extra=BY_CALLER,
    )
    created_at: AwareDatetime = Field(
        description="When it was created or submitted, on the database's clock; kept in UTC.",
        json_schema_extra=BY_SQL,
    )
    created_by: str = Field(
        description="The database's login that created or submitted it.", json_schema_extra=BY_SQL
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
        description="This stage has ended, and the next one, finish_job or advance_job is due; null"
        " if not, and of a submitted job that has no stage yet.",
        json_schema_extra=BY_SQL,
    )
    due_since: AwareDatetime | None = Field(
        default=None,
        description="Since when it is due: when that stage ended, or the job was submitted, in UTC;"
        " null if it is not.",
        json_schema_extra=BY_SQL,
    )
    plan_version: Annotated[int, Field(strict=True, ge=1)] | None = Field(
        default=None,
        description="The version of its type's plan that makes its stages; null without a plan.",
        json_schema_extra=BY_SQL,
    )
    failed_advances: Annotated[int, Field(strict=True, ge=1)] | None = Field(
        default=None,
        description="How often in a row its plan could not make what is due; null if it could.",
        json_schema_extra=BY_SQL,
    )
    failing_stage: str | None = Field(
        default=None,
        description="The name of the plan's stage that could not be made; null for none.",
        json_schema_extra=BY_SQL,
    )
    why: str | None = Field(
        default=None,
        description="What could not be done: the stage, and what its tasks come from; null for"
        " nothing.",
        json_schema_extra=BY_SQL,
    )
    error: Annotated[str, Field(max_length=8192)] | None = Field(
        default=None,
        description="The SQLSTATE and the text of the error that prevented it; null for none.",
        json_schema_extra=BY_SQL,
    )
    next_advance_at: AwareDatetime | None = Field(
        default=None,
        description="When it is tried again, in UTC; null unless it failed.",
        json_schema_extra=BY_SQL,
    )
    priority: Annotated[int, Field(strict=True, ge=0, le=9)] = Field(
        default=5,
        description="Its share of what is published while others wait: each step up doubles it;"
        " 5 unless set_priority was called.",
        json_schema_extra=BY_SQL,
    )
