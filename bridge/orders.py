"""What the bridge's house-keeping hears from the database: duties done, and orders in progress."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Maintained:
    """A row of maintain: how much of each duty was done."""

    lost_attempts: int
    retried_tasks: int
    republished_batches: int
    overdue_stages: int


@dataclass(frozen=True, slots=True)
class OrderReport:
    """A row of work_order: how far an operator's order got."""

    order_id: int
    action: str
    status: str
    """working, done, stopped; busy: another session is at it."""
    tasks: int
    tasks_done: int
