"""An operator's calls: orders about tasks, batches, stages and jobs, and about orders."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from bridge.client.call import Call, Parameters
from bridge.exact_json import dumps


class Order(NamedTuple):
    """What an order does, or, as a dry run (order_id None), would do."""

    order_id: int | None
    action: str
    status: str
    job_id: UUID
    stage: int | None
    batch_id: UUID | None
    tasks: int
    tasks_done: int
    note: str


class Repair(NamedTuple):
    """A thing that is not as the tasks' rows say, and how it was, or would be, mended."""

    stage: int
    difference: str
    mend: str
    order_id: int | None
    """Of the order that records it; None in a dry run."""


def _order(rows: Sequence[Any]) -> Order:
    (row,) = rows
    return Order(*row)


def retry_tasks(
    job_id: UUID,
    stage: int,
    *,
    status: str = "failed",
    parameters: Parameters | None = None,
    error: str = "%",
    reason: str | None = None,
    dry_run: bool = False,
    at_most: int | None = None,
) -> Call[Order]:
    """One more attempt for the tasks that failed, or have another status, and match."""
    return Call(
        "select * from stagebus.retry_tasks("
        "%s, %s::integer, %s, %s::jsonb, %s, %s, %s, %s::integer)",
        (job_id, stage, status, dumps(parameters or {}), error, reason, dry_run, at_most),
        _order,
    )


def redrive(
    job_id: UUID,
    stage: int,
    *,
    error: str = "%",
    parameters: Parameters | None = None,
    at_most: int | None = None,
    reason: str | None = None,
    dry_run: bool = False,
) -> Call[Order]:
    """The same for the tasks that failed as dead letters; `error`: their reason is like it."""
    return Call(
        "select * from stagebus.redrive(%s, %s::integer, %s, %s::jsonb, %s::integer, %s, %s)",
        (job_id, stage, error, dumps(parameters or {}), at_most, reason, dry_run),
        _order,
    )


def retry_batch(
    job_id: UUID,
    batch_id: UUID,
    *,
    unfinished: bool = False,
    reason: str | None = None,
    dry_run: bool = False,
) -> Call[Order]:
    """Publishes again what no worker has started; with `unfinished` what runs, too."""
    return Call(
        "select * from stagebus.retry_batch(%s, %s, %s, %s, %s)",
        (job_id, batch_id, unfinished, reason, dry_run),
        _order,
    )


def hold_batch(
    job_id: UUID, batch_id: UUID, *, reason: str | None = None, dry_run: bool = False
) -> Call[Order]:
    """Keeps a batch from being published."""
    return Call(
        "select * from stagebus.hold_batch(%s, %s, %s, %s)",
        (job_id, batch_id, reason, dry_run),
        _order,
    )


def unhold_batch(
    job_id: UUID, batch_id: UUID, *, reason: str | None = None, dry_run: bool = False
) -> Call[Order]:
    """Lets a held batch go on."""
    return Call(
        "select * from stagebus.unhold_batch(%s, %s, %s, %s)",
        (job_id, batch_id, reason, dry_run),
        _order,
    )


def cancel_stage(
    job_id: UUID, stage: int, *, reason: str | None = None, dry_run: bool = False
) -> Call[Order]:
    """Cancels what has not ended of a stage."""
    return Call(
        "select * from stagebus.cancel_stage(%s, %s::integer, %s, %s)",
        (job_id, stage, reason, dry_run),
        _order,
    )


def cancel_job(job_id: UUID, *, reason: str | None = None, dry_run: bool = False) -> Call[Order]:
    """Cancels what has not ended of a job."""
    return Call("select * from stagebus.cancel_job(%s, %s, %s)", (job_id, reason, dry_run), _order)


def set_stage(
    job_id: UUID,
    stage: int,
    *,
    tolerated_failures: str | None = None,
    deadline: datetime | None = None,
    on_failure: str | None = None,
    reason: str | None = None,
    dry_run: bool = False,
) -> Call[Order]:
    """Changes what a stage tolerates ("20", "5%"), its deadline, and what its failure does."""
    return Call(
        "select * from stagebus.set_stage(%s, %s::integer, %s, %s, %s, %s, %s)",
        (job_id, stage, tolerated_failures, deadline, on_failure, reason, dry_run),
        _order,
    )


def work_order(order_id: int, limit: int = 10_000) -> Call[Order]:
    """One step of an order, as a bridge does it; one call per transaction."""
    return Call(
        "select * from stagebus.work_order(%s::bigint, %s::integer)", (order_id, limit), _order
    )


def stop_order(order_id: int, *, reason: str | None = None, dry_run: bool = False) -> Call[Order]:
    """Stops a working order where it is."""
    return Call(
        "select * from stagebus.stop_order(%s::bigint, %s, %s)", (order_id, reason, dry_run), _order
    )


def undo_order(
    order_id: int, *, reason: str | None = None, dry_run: bool = False
) -> Call[list[Order]]:
    """Takes a hold or a cancelling back; the orders that do it."""

    def read(rows: Sequence[Any]) -> list[Order]:
        return [Order(*row) for row in rows]

    return Call(
        "select * from stagebus.undo_order(%s::bigint, %s, %s)", (order_id, reason, dry_run), read
    )


def repair_job(
    job_id: UUID, *, dry_run: bool = True, reason: str | None = None
) -> Call[list[Repair]]:
    """What verify_job finds and how it is mended; with dry_run=False it then is."""

    def read(rows: Sequence[Any]) -> list[Repair]:
        return [Repair(*row) for row in rows]

    return Call("select * from stagebus.repair_job(%s, %s, %s)", (job_id, dry_run, reason), read)
