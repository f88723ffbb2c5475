"""Calls about plans: a job type's stages, defined once; the jobs submitted to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from bridge.client.call import Call, Parameters, value
from bridge.exact_json import Json, dumps, loads


class PlannedStage(NamedTuple):
    """A stage that a job would have; what only its run will tell is None."""

    stage: int
    name: str
    task_type: str
    waits_for: str
    tasks_from: str
    """A function, or the JSON path of the count."""
    tasks: int | None
    batches: int | None
    skipped: bool | None
    note: str | None
    """What would fail."""


class Advance(NamedTuple):
    """What became of advancing a job."""

    job_id: UUID
    status: str
    """advanced, nothing to make, busy (another session is at it), changed (due again), failed."""
    job_status: str
    stages: int | None
    """Made by this call; None when it made an end of itself without looking."""
    tasks: int
    note: str | None


class StageResult(NamedTuple):
    """What a completed task brought home."""

    stage: int
    group_value: str | None
    task_index: int
    result: Json


def define_job_type(job_type: str, plan: Parameters) -> Call[int]:
    """The version of the plan; the plan that is there already gives its own."""
    return Call("select stagebus.define_job_type(%s, %s::jsonb)", (job_type, dumps(plan)), value)


def submit_job(
    job_type: str, parameters: Parameters | None = None, dedupe_key: str | None = None
) -> Call[UUID]:
    """The id of a new job that its type's plan makes the stages of, or as with create_job."""
    return Call(
        "select stagebus.submit_job(%s, %s::jsonb, %s)",
        (job_type, dumps(parameters or {}), dedupe_key),
        value,
    )


def explain_plan(job_type: str, parameters: Parameters | None = None) -> Call[list[PlannedStage]]:
    """The stages that a job with these parameters would have; nothing is called or changed."""

    def read(rows: Sequence[Any]) -> list[PlannedStage]:
        return [PlannedStage(*row) for row in rows]

    return Call(
        "select stage, name, task_type, waits_for, tasks_from, tasks, batches, skipped, note"
        " from stagebus.explain_plan(%s, %s::jsonb)",
        (job_type, dumps(parameters or {})),
        read,
    )


def advance_job(job_id: UUID) -> Call[Advance]:
    """Makes what can begin of a job with a plan; bridges do the same. Once in a transaction.

    An error of the plan is not raised: the status is `failed`, and the view jobs says why.
    """

    def read(rows: Sequence[Any]) -> Advance:
        (row,) = rows
        return Advance(*row)

    return Call(
        "select job_id, status, job_status, stages, tasks, note from stagebus.advance_job(%s)",
        (job_id,),
        read,
    )


def stage_results_by_name(job_id: UUID, name: str) -> Call[list[StageResult]]:
    """The results of the completed tasks of all stages of that name of the plan, in order."""

    def read(rows: Sequence[Any]) -> list[StageResult]:
        return [
            StageResult(stage, group_value, index, None if text is None else loads(text))
            for stage, group_value, index, text in rows
        ]

    return Call(
        "select stage, group_value, task_index, result::text"
        " from stagebus.stage_results_by_name(%s, %s)",
        (job_id, name),
        read,
    )
