"""The model of what producers call."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from tests.life.model import Batch, Job, Model, Refused, Stage, Task, TaskType


def create_job(model: Model, job_id: UUID) -> None:
    model.jobs[job_id] = Job(job_id)


def open_stage(model: Model, job_id: UUID, number: int, kind: TaskType) -> None:
    job = model.jobs[job_id]
    if job.ended or job.cancelling:
        raise Refused("SB102")
    if number <= len(job.stages):
        raise Refused("SB131" if job.stages[number - 1].withdrawn else "SB104")
    if job.stages and not job.stages[-1].ended:
        raise Refused("SB103")
    job.stages.append(Stage(job_id, number, kind, kind.on_failure, kind.tolerated_failures))
    if job.state == "created":
        job.move("running")
    job.due = {due for due in job.due if due >= number}


def append_tasks(model: Model, job_id: UUID, number: int, count: int) -> None:
    stage = _filling(model, job_id, number)
    for index in range(len(stage.tasks) + 1, len(stage.tasks) + count + 1):
        stage.tasks.append(Task((job_id, number, index)))


def append_keyed_tasks(
    model: Model, job_id: UUID, number: int, keys: list[str], on_conflict: str
) -> None:
    stage = _filling(model, job_id, number)
    fresh = [key for key in dict.fromkeys(keys) if key not in stage.keys]
    if on_conflict == "error" and len(fresh) < len(keys):
        raise Refused("SB122")
    stage.keys.update(fresh)
    append_tasks(model, job_id, number, len(fresh))


def _filling(model: Model, job_id: UUID, number: int) -> Stage:
    stage = model.stage(job_id, number)
    if stage.state != "filling":
        raise Refused("SB106")
    return stage


def publish_stage(
    model: Model, ids: Callable[[], int], job_id: UUID, number: int, timeout: timedelta
) -> None:
    stage = model.stage(job_id, number)
    if stage.state != "filling":
        # Told again.
        if stage.confirm_by is None:
            raise Refused("SB106")
        waits = stage.state == "provisional" and not stage.withdrawn
        if waits and stage.confirm_by <= model.now:
            model.withdraw(stage, ids)
        return
    _cut(model, stage)
    stage.move("provisional")
    stage.confirm_by = model.now + timeout
    if not stage.tasks:
        model.confirm(stage)


def _cut(model: Model, stage: Stage) -> None:
    size = stage.type.batch_size
    for first in range(0, len(stage.tasks), size):
        part = stage.tasks[first : first + size]
        add_batch(model, stage, part, scattered=False)


def seal_stage(model: Model, job_id: UUID, number: int) -> None:
    stage = _filling(model, job_id, number)
    _cut(model, stage)
    stage.move("open")
    if stage.type.stage_timeout and stage.deadline is None:
        stage.deadline = model.now + stage.type.stage_timeout
    if not stage.tasks:
        model.end_stage(stage)


def add_batch(model: Model, stage: Stage, tasks: list[Task], *, scattered: bool) -> None:
    first, last = tasks[0].index, tasks[-1].index
    batch = Batch(stage.job_id, stage.stage, "tasks", scattered, first, last, len(tasks), model.now)
    batch.through = first - 1
    model.batches.append(batch)
    for task in tasks:
        task.batch = batch


def finish_job(model: Model, job_id: UUID) -> str:
    job = model.jobs[job_id]
    if job.ended:
        return job.state
    if not all(stage.ended for stage in job.stages):
        raise Refused("SB113")
    states = {stage.state for stage in job.stages}
    if "failed" in states:
        state = "failed"
    else:
        state = "completed_with_errors" if states - {"completed"} else "completed"
    model.end_job(job, state)
    return state
