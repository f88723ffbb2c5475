"""What stagebus should do, in plain Python: its nouns, their legal states, and how things end.

It knows nothing of SQL, locks or counters: counts are counted. `bridges`, `workers` and `operators`
hold the verbs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

TaskKey = tuple[UUID, int, int]
Outcome = Literal["accepted", "unknown"]

OPEN_TASK = (None, "processing", "retry_wait")
WAITING_BATCH = ("pending_queue", "publishing", "held", "failed")

#: From which state to which: anything else is a defect, of the model or of what it describes.
TASK_MOVES = {
    None: ("processing", "cancelled"),
    "processing": ("completed", "failed", "retry_wait", "cancelled"),
    "retry_wait": (None, "cancelled"),
    "failed": ("retry_wait",),
    "cancelled": ("retry_wait",),
    "completed": (),
}
BATCH_MOVES = {
    "pending_queue": ("publishing", "held", "cancelled", "pending_queue"),
    "publishing": ("publishing", "queued", "pending_queue", "failed", "held", "cancelled"),
    "queued": ("pending_queue",),
    "held": ("pending_queue", "cancelled", "held"),
    "failed": ("pending_queue", "held", "cancelled"),
    "cancelled": ("pending_queue",),
}
STAGE_MOVES = {
    "filling": ("open", "provisional"),
    "provisional": ("open",),
    "open": ("completed", "completed_with_errors", "failed", "cancelled"),
    "completed": (),
    "completed_with_errors": ("open",),
    "failed": ("open",),
    "cancelled": ("open",),
}
JOB_MOVES = {
    "created": ("running", "completed", "cancelled"),
    "running": ("created", "completed", "completed_with_errors", "failed", "cancelled"),
    "completed": (),
    "completed_with_errors": (),
    "failed": ("running",),
    "cancelled": ("created", "running"),
}


class Refused(Exception):
    """The call raises this SQLSTATE and changes nothing."""


@dataclass(frozen=True)
class TaskType:
    """What set_task_type was told."""

    name: str
    batch_size: int = 3
    max_attempts: int = 2
    timeout: timedelta = timedelta(minutes=1)
    retry_delay: timedelta = timedelta(seconds=10)
    start_timeout: timedelta = timedelta()
    stage_timeout: timedelta = timedelta()
    tolerated_failures: str = "100%"
    on_failure: str = "fail_job"
    job_messages: bool = False


@dataclass(eq=False)
class Batch:
    job_id: UUID
    stage: int
    kind: str
    scattered: bool
    first: int
    last: int
    count: int
    ready_at: datetime
    state: str = "pending_queue"
    #: Drawn by the database; learned when the batch is first looked at.
    batch_id: UUID | None = None
    seq: int = 0
    turn: int = 0
    epoch: int = 0
    dispatch: int = 1
    through: int = 0
    attempts: int = 0
    lease_until: datetime | None = None
    start_due_at: datetime | None = None
    ledger: list[str] = field(default_factory=list)

    def move(self, state: str) -> None:
        assert state in BATCH_MOVES[self.state], f"batch: {self.state} → {state}"
        self.state = state
        if state != "publishing":
            self.lease_until = None

    @property
    def shape(self) -> tuple[object, ...]:
        """By which a new batch of the database is recognised."""
        return (
            self.job_id, self.stage, self.kind, self.scattered, self.first, self.last, self.count
        )  # fmt: skip


@dataclass(eq=False)
class Task:
    key: TaskKey
    attempt: int = 1
    state: str | None = None
    token: UUID | None = None
    batch: Batch | None = None
    started_at: datetime | None = None
    lease_until: datetime | None = None
    due_at: datetime | None = None

    @property
    def index(self) -> int:
        return self.key[2]

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_TASK

    def move(self, state: str | None) -> None:
        assert state in TASK_MOVES[self.state], f"task: {self.state} → {state}"
        self.state = state
        self.lease_until = self.started_at = self.due_at = None


@dataclass(eq=False)
class Stage:
    job_id: UUID
    stage: int
    type: TaskType
    on_failure: str
    tolerated: str
    state: str = "filling"
    ending: str | None = None
    repair: bool = False
    deadline: datetime | None = None
    ended_at: datetime | None = None
    tasks: list[Task] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    confirm_by: datetime | None = None
    #: Drawn by the database; learned when the stage is first looked at.
    nonce: str | None = None
    #: What is left of a stage that is being withdrawn.
    gone_through: int = 0
    keys_left: int = 0
    slots_left: int = 0

    def move(self, state: str) -> None:
        assert state in STAGE_MOVES[self.state], f"stage: {self.state} → {state}"
        self.state = state

    @property
    def ended(self) -> bool:
        return self.state not in ("filling", "provisional", "open")

    @property
    def withdrawn(self) -> bool:
        return self.ending == "withdraw"

    def number(self, state: str) -> int:
        return sum(task.state == state for task in self.tasks)

    def open_tasks(self) -> int:
        return sum(task.is_open for task in self.tasks)

    def end_state(self) -> str:
        """How it ends when its last task has."""
        tasks, failed = len(self.tasks), self.number("failed")
        completed, cancelled = self.number("completed"), self.number("cancelled")
        if self.ending == "deadline" and cancelled:
            return "failed"
        if cancelled or (self.ending == "cancel" and not tasks):
            return "cancelled"
        if completed == tasks:
            return "completed"
        value = self.tolerated
        most = tasks * int(value[:-1]) / 100 if value.endswith("%") else int(value)
        return "failed" if failed > most else "completed_with_errors"


@dataclass(eq=False)
class Job:
    job_id: UUID
    state: str = "created"
    cancelling: bool = False
    stages: list[Stage] = field(default_factory=list)
    due: set[int] = field(default_factory=set)
    #: What a controller was told: event, stage, status.
    told: list[tuple[str, int | None, str]] = field(default_factory=list)

    def move(self, state: str) -> None:
        assert state in JOB_MOVES[self.state], f"job: {self.state} → {state}"
        self.state = state

    @property
    def ended(self) -> bool:
        return self.state not in ("created", "running")

    def went_past(self, stage: int) -> bool:
        later = any(other.stage > stage for other in self.stages)
        return later or self.state in ("completed", "completed_with_errors")


@dataclass(eq=False)
class Order:
    order_id: int
    action: str
    job_id: UUID
    stage: int | None
    ordered_at: datetime
    batch_id: UUID | None = None
    status: str = ""
    state: str = "working"
    tasks_done: int = 0
    stage_reached: int = 0
    index_reached: int = 0
    undoes: int | None = None


class Model:
    """Everything of one database."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.jobs: dict[UUID, Job] = {}
        self.batches: list[Batch] = []
        self.orders: dict[int, Order] = {}
        #: Batches of withdrawn stages: bridges may know them still.
        self.gone: list[Batch] = []

    # Looking.

    def stages(self) -> Iterator[Stage]:
        for job in self.jobs.values():
            yield from job.stages

    def stage(self, job_id: UUID, stage: int) -> Stage:
        return self.jobs[job_id].stages[stage - 1]

    def stage_of(self, batch: Batch) -> Stage:
        return self.stage(batch.job_id, batch.stage)

    def tasks(self) -> Iterator[Task]:
        for stage in self.stages():
            yield from stage.tasks

    def task(self, key: TaskKey) -> Task:
        return self.stage(key[0], key[1]).tasks[key[2] - 1]

    def batch(self, batch_id: UUID | None) -> Batch:
        (batch,) = (b for b in (*self.batches, *self.gone) if b.batch_id == batch_id)
        return batch

    def tasks_of(self, batch: Batch) -> list[Task]:
        """In index order."""
        if batch.kind == "job":
            return []
        return [task for task in self.stage_of(batch).tasks if task.batch is batch]

    def unstarted(self, batch: Batch) -> list[Task]:
        return [task for task in self.tasks_of(batch) if task.state is None]

    def working(self, stage: Stage) -> list[Order]:
        """The orders that are cancelling or withdrawing the stage."""
        cancelling = [("cancel_job", stage.job_id), ("cancel_stage", stage.job_id)]
        if stage.withdrawn:
            cancelling = [("withdraw_stage", stage.job_id)]
        return [
            order
            for order in self.orders.values()
            if order.state == "working"
            and (order.action, order.job_id) in cancelling
            and order.stage in (None, stage.stage)
        ]

    # How things end, and begin again.

    def end_tasks(self, tasks: list[Task], state: str) -> None:
        """Ends open tasks, and the stages whose last they are."""
        for task in tasks:
            task.move(state)
        for job_id, number in sorted({task.key[:2] for task in tasks}):
            stage = self.stage(job_id, number)
            if stage.open_tasks() == 0:
                self.end_stage(stage)

    def end_stage(self, stage: Stage) -> None:
        job = self.jobs[stage.job_id]
        stage.move(stage.end_state())
        stage.ended_at = self.now
        if job.cancelling:
            self.end_cancelled_job(job)
        elif not stage.repair:
            if stage.type.job_messages:
                self.tell(job, "stage_ended", stage.stage, stage.state)
            if stage.state != "failed":
                assert stage.stage not in job.due
                job.due.add(stage.stage)
            elif stage.on_failure == "fail_job":
                self.end_job(job, "failed")

    def end_cancelled_job(self, job: Job) -> None:
        if all(stage.ended for stage in job.stages):
            self.end_job(job, "cancelled")

    def end_job(self, job: Job, state: str) -> None:
        if job.ended:
            return
        job.move(state)
        job.due.clear()
        if any(stage.type.job_messages for stage in job.stages):
            self.tell(job, "job_ended", None, state)

    def tell(self, job: Job, event: str, stage: int | None, status: str) -> None:
        job.told.append((event, stage, status))
        about = len(job.stages) if stage is None else stage
        self.batches.append(Batch(job.job_id, about, "job", True, 1, 1, 1, self.now))

    def reopen_stage(self, stage: Stage) -> None:
        if not stage.ended:
            return
        job = self.jobs[stage.job_id]
        if job.cancelling and not job.ended:
            raise Refused("SB120")
        stage.move("open")
        stage.ended_at = None
        stage.ending = None
        self.forget_deadline(stage)
        if job.went_past(stage.stage):
            stage.repair = True
            return
        if job.ended:
            job.move("running")
            job.cancelling = False
        job.due.discard(stage.stage)

    # Publications.

    def confirm(self, stage: Stage) -> None:
        """Once all of it is queued."""
        batches = [b for b in self.batches if b.kind == "tasks" and self.stage_of(b) is stage]
        if stage.withdrawn or any(batch.state != "queued" for batch in batches):
            return
        stage.move("open")
        if stage.type.stage_timeout and stage.deadline is None:
            stage.deadline = self.now + stage.type.stage_timeout
        if not stage.tasks:
            self.end_stage(stage)

    def withdraw(self, stage: Stage, new_id: Callable[[], int]) -> Order:
        assert stage.state == "provisional"
        assert stage.ending is None
        stage.ending = "withdraw"
        stage.keys_left, stage.slots_left = len(stage.keys), len(stage.tasks)
        order = Order(new_id(), "withdraw_stage", stage.job_id, stage.stage, self.now)
        self.orders[order.order_id] = order
        return order

    def remove(self, stage: Stage) -> None:
        """The last of a withdrawn stage: its job is as it was without it."""
        job = self.jobs[stage.job_id]
        assert job.stages.pop() is stage
        if job.cancelling:
            self.end_cancelled_job(job)
            return
        if not job.stages:
            job.move("created")
            return
        last = job.stages[-1]
        last.repair = False
        if last.ended and last.state != "failed":
            job.due.add(last.stage)
        elif last.ended and last.on_failure == "fail_job":
            self.end_job(job, "failed")

    def forget_deadline(self, stage: Stage) -> None:
        if stage.deadline is not None and stage.deadline <= self.now:
            stage.deadline = None
