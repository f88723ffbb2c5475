"""A producer's calls: jobs, their stages, and what came out of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from bridge.client.call import Call, Parameters, texts, value
from bridge.exact_json import Json, dumps, loads


class StageSummary(NamedTuple):
    """A stage as it was made; `bytes` are those of its message bodies, at most."""

    job_id: UUID
    stage: int
    tasks: int
    batches: int
    bytes: int


class Estimate(NamedTuple):
    """What a stage would be; `bytes` are those of its message bodies."""

    tasks: int
    bytes: int
    batches: int
    sends: int
    seconds: float | None
    """To send it, alone, at the rate of the destination's last minutes; None without one."""


class Publication(NamedTuple):
    """What became of a stage that was published by publish_stage."""

    job_id: UUID
    stage: int
    nonce: str
    """Tells it from others of the same number."""
    status: str
    """waiting, confirmed or withdrawn."""
    reason: str | None
    """Why it was withdrawn."""
    tasks: int
    batches: int
    queued_batches: int
    confirm_by: datetime
    order_id: int | None
    """The order that is left of a withdrawn one."""


def _publication(rows: Sequence[Any]) -> Publication:
    (row,) = rows
    return Publication(*row)


def _estimate(rows: Sequence[Any]) -> Estimate:
    (row,) = rows
    return Estimate(*row)


def _summary(rows: Sequence[Any]) -> StageSummary:
    (row,) = rows
    return StageSummary(*row)


def create_job(
    job_type: str, parameters: Parameters | None = None, dedupe_key: str | None = None
) -> Call[UUID]:
    """The id of a new job, or of the one that was made with the same dedupe key."""
    return Call(
        "select stagebus.create_job(%s, %s::jsonb, %s)",
        (job_type, dumps(parameters or {}), dedupe_key),
        value,
    )


def create_stage_tasks(
    job_id: UUID,
    stage: int,
    task_type: str,
    task_count: int,
    parameters: Parameters | None = None,
    *,
    seal: bool = True,
    if_exists: str = "error",
) -> Call[StageSummary]:
    """A stage of so many tasks, each with the common parameters and {"index": i}."""
    return Call(
        "select * from stagebus.create_stage_tasks(%s, %s::integer, %s, %s::bigint, %s::jsonb,"
        " seal => %s, if_exists => %s)",
        (job_id, stage, task_type, task_count, dumps(parameters or {}), seal, if_exists),
        _summary,
    )


def estimate_stage_tasks(
    task_type: str,
    task_count: int,
    parameters: Parameters | None = None,
    *,
    sample_parameters: Parameters | Sequence[Parameters] | None = None,
    job_type: str = "",
    stage: int = 1,
) -> Call[Estimate]:
    """What create_stage_tasks would make; with samples, of tasks with parameters like them."""
    return Call(
        "select * from stagebus.estimate_stage_tasks("
        "%s, %s::bigint, %s::jsonb, %s::jsonb, %s, %s::integer)",
        (
            task_type,
            task_count,
            dumps(parameters or {}),
            None if sample_parameters is None else dumps(sample_parameters),
            job_type,
            stage,
        ),
        _estimate,
    )


def create_stage_tasks_from_array(
    job_id: UUID,
    stage: int,
    task_type: str,
    tasks: Sequence[Parameters],
    parameters: Parameters | None = None,
    *,
    seal: bool = True,
    if_exists: str = "error",
    task_key: str | None = None,
    on_conflict: str = "error",
) -> Call[StageSummary]:
    """A stage of one task per object; an empty sequence makes one that completes at once."""
    return Call(
        "select * from stagebus.create_stage_tasks_from_array(%s, %s::integer, %s,"
        " %s::text[]::jsonb[], %s::jsonb, seal => %s, if_exists => %s, task_key => %s,"
        " on_conflict => %s)",
        (
            job_id, stage, task_type, texts(tasks), dumps(parameters or {}), seal, if_exists,
            task_key, on_conflict,
        ),
        _summary,
    )  # fmt: skip


def create_stage_tasks_from_query(
    job_id: UUID,
    stage: int,
    task_type: str,
    query: str,
    parameters: Parameters | None = None,
    *,
    seal: bool = True,
    if_exists: str = "error",
    task_key: str | None = None,
    on_conflict: str = "error",
) -> Call[StageSummary]:
    """A stage of one task per row; the query runs as the caller, and is trusted as SQL is."""
    return Call(
        "select * from stagebus.create_stage_tasks_from_query(%s, %s::integer, %s, %s, %s::jsonb,"
        " seal => %s, if_exists => %s, task_key => %s, on_conflict => %s)",
        (
            job_id, stage, task_type, query, dumps(parameters or {}), seal, if_exists, task_key,
            on_conflict,
        ),
        _summary,
    )  # fmt: skip


def seal_stage(job_id: UUID, stage: int) -> Call[StageSummary]:
    """Ends the filling of a stage that was made with seal=False."""
    return Call("select * from stagebus.seal_stage(%s, %s::integer)", (job_id, stage), _summary)


def publish_stage(
    job_id: UUID, stage: int, timeout: timedelta = timedelta(minutes=1)
) -> Call[Publication]:
    """As seal_stage, but all or nothing: workers wait until all of it is published, or it goes.

    Only once the transaction is committed. Called again it answers what became of it.
    """
    return Call(
        "select * from stagebus.publish_stage(%s, %s::integer, %s)",
        (job_id, stage, timeout),
        _publication,
    )


def publication(job_id: UUID, stage: int, nonce: str | None = None) -> Call[Publication]:
    """What became of a published stage; when its time is up, that it is withdrawn."""
    return Call(
        "select * from stagebus.publication(%s, %s::integer, %s)",
        (job_id, stage, nonce),
        _publication,
    )


def withdraw_stage(
    job_id: UUID, stage: int, *, reason: str | None = None, nonce: str | None = None
) -> Call[Publication]:
    """Gives a published stage up, unless it is confirmed by then; says which."""
    return Call(
        "select * from stagebus.withdraw_stage(%s, %s::integer, %s, %s)",
        (job_id, stage, reason, nonce),
        _publication,
    )


def stage_results(job_id: UUID, stage: int) -> Call[list[tuple[int, Json]]]:
    """The index and the result of each completed task, in order."""

    def read(rows: Sequence[Any]) -> list[tuple[int, Json]]:
        return [(index, None if text is None else loads(text)) for index, text in rows]

    return Call(
        "select task_index, result::text from stagebus.stage_results(%s, %s::integer)",
        (job_id, stage),
        read,
    )


def finish_job(job_id: UUID) -> Call[str]:
    """Says that no stage follows; the state in which the job ended."""
    return Call("select stagebus.finish_job(%s)", (job_id,), value)
