"""The model of what workers call."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from tests.life.bridges import end_attempts
from tests.life.model import Model, Stage, Task, TaskKey


@dataclass(frozen=True)
class Letter:
    """A message on the broker."""

    key: TaskKey
    attempt: int
    nonce: str
    message_id: str

    @property
    def task_id(self) -> str:
        job_id, stage, index = self.key
        return f"{job_id}-s{stage}-{index}"


def start(model: Model, letters: list[Letter], token: UUID) -> list[str]:
    verdicts = [_may_start(model, letter, token) for letter in letters]
    for letter, verdict in zip(letters, verdicts, strict=True):
        if verdict == "run":
            task = model.task(letter.key)
            if task.state != "processing":
                task.move("processing")
            task.token = token
            task.started_at = model.now
            task.lease_until = model.now + model.stage(*letter.key[:2]).type.timeout
    return verdicts


def stage_of(model: Model, letter: Letter) -> Stage | None:
    """The stage that the letter is of; another may have its number by now."""
    job_id, number, _ = letter.key
    stages = model.jobs[job_id].stages
    stage = stages[number - 1] if number <= len(stages) else None
    return stage if stage is not None and stage.nonce == letter.nonce else None


def _may_start(model: Model, letter: Letter, token: UUID) -> str:
    stage = stage_of(model, letter)
    if stage is None or stage.withdrawn:
        return "ghost"
    task = model.task(letter.key)
    if task.state == "cancelled":
        return "cancelled"
    if task.state in ("completed", "failed"):
        return "done"
    if letter.attempt < task.attempt or task.state == "retry_wait":
        return "stale"
    if stage.ending is not None:
        return "cancelled"
    if stage.state == "provisional":
        return "wait"
    if task.state is None or task.token == token:
        return "run"
    assert task.lease_until is not None
    return "run" if task.lease_until < model.now else "taken"


def heartbeat(model: Model, key: TaskKey, token: UUID) -> bool:
    task = model.task(key)
    if not _holds(task, token):
        return False
    task.lease_until = model.now + model.stage(*key[:2]).type.timeout
    return True


def complete(model: Model, keys: list[TaskKey], token: UUID) -> list[str]:
    tasks = [model.task(key) for key in keys]
    model.end_tasks([task for task in _once(tasks) if _holds(task, token)], "completed")
    return [_answer(task, token, "completed") for task in tasks]


def fail(model: Model, keys: list[TaskKey], token: UUID, *, retry: bool) -> list[str]:
    tasks = [model.task(key) for key in keys]
    held = [task for task in _once(tasks) if _holds(task, token)]
    end_attempts(model, held, retry=retry, backoff=True)
    return [_answer(task, token, "failed") for task in tasks]


def _once(tasks: list[Task]) -> list[Task]:
    return list(dict.fromkeys(tasks))


def _holds(task: Task, token: UUID) -> bool:
    return task.state == "processing" and task.token == token


def _answer(task: Task, token: UUID, wanted: str) -> str:
    if task.state == wanted and task.token == token:
        return wanted
    if task.state in ("completed", "failed"):
        return "done"
    if task.state == "cancelled":
        return "cancelled"
    if task.state == "processing":
        return "taken"
    if wanted == "failed" and task.state == "retry_wait" and task.token == token:
        return "retry_wait"
    return "stale"
