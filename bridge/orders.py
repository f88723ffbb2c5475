"""What the bridge's house-keeping hears: duties, orders, retention, jobs, queues."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Maintained:
    """A row of maintain: how much of each duty was done, and what else is to be done."""

    lost_attempts: int
    retried_tasks: int
    republished_batches: int
    overdue_stages: int
    due_jobs: int
    """Jobs that wait to be advanced."""
    orders: Sequence[int]
    """The ids of the orders that are worked off, oldest first."""
    removal_due: bool
    """A step of retention is due."""
    more: bool
    """A duty had as much to do as it takes in one round."""


@dataclass(frozen=True, slots=True)
class OrderReport:
    """A row of work_order: how far an operator's order got."""

    order_id: int
    action: str
    status: str
    """working, done, stopped; busy: another session is at it."""
    tasks: int
    tasks_done: int


@dataclass(frozen=True, slots=True)
class Removal:
    """A row of drop_expired: what a step of retention did."""

    partition: str | None
    """Of tasks: the week that goes."""
    status: str
    """begun, being removed, dropped; waits (for locks, see the note), busy, nothing expired."""
    removed_rows: int
    note: str | None


@dataclass(frozen=True, slots=True)
class DueJob:
    """A row of due_jobs: a job that advance_job is due for."""

    job_id: UUID
    job_type: str
    timeout: timedelta
    """How long that may take."""
    calls_functions: bool
    """Its plan has functions, the code of others."""


@dataclass(frozen=True, slots=True)
class Advance:
    """A row of advance_job: what became of it."""

    status: str
    """advanced, nothing to make, busy (another session is at it), changed (due again), failed."""
    job_status: str
    stages: int | None
    """Made just now."""
    tasks: int


@dataclass(frozen=True, slots=True)
class DeadLetterQueue:
    """A row of dead_letter_queues: a queue whose dead letters may be ours."""

    destination: str
    entity: str
