"""The commands that give orders: `stagebus cancel`, `retry`, `redrive`, `hold` … and `undo`."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import click

from bridge import client, console
from bridge.options import STAGE, database_url_option
from bridge.printing import json_option, show
from bridge.steer_options import (
    COUNT,
    at_most_option,
    batch_argument,
    error_option,
    gives_order,
    job_argument,
    parameters_option,
    stage_option,
    yes_option,
)
from bridge.steering import MANY, ExitCode, Manner, give

#: The columns for people; --json has them all.
ORDERS = (
    "order_id", "action", "status", "job_id", "stage", "tasks", "tasks_done", "ordered_by",
    "ordered_at", "reason",
)  # fmt: skip


@click.command()
@job_argument
@click.option("--stage", type=STAGE, help="Only this stage.")
@yes_option
@gives_order
def cancel(job_id: UUID, stage: int | None, manner: Manner, database_url: str) -> ExitCode:
    """Cancel what has not ended of a job, or of one stage.

    What runs, too. It says how many tasks that is, and asks. A provisional stage is withdrawn.
    `stagebus undo` takes it back. Needs the role stagebus_operator.
    """

    def order(dry_run: bool) -> client.Call[client.Order]:
        if stage is None:
            return client.cancel_job(job_id, reason=manner.reason, dry_run=dry_run)
        return client.cancel_stage(job_id, stage, reason=manner.reason, dry_run=dry_run)

    return give(database_url, manner, order, asks_from=0)


@click.command()
@job_argument
@stage_option
@click.option(
    "--status",
    type=click.Choice(["failed", "cancelled", "retry_wait"]),
    default="failed",
    help="Of the tasks that have this status.",
)
@error_option
@parameters_option
@at_most_option
@yes_option
@gives_order
def retry(
    job_id: UUID,
    stage: int,
    status: str,
    error: str,
    parameters: dict[str, Any],
    at_most: int | None,
    manner: Manner,
    database_url: str,
) -> ExitCode:
    """Give failed tasks of a stage one more attempt.

    All of them, or those that match. A stage that has ended reopens. It says how many tasks that
    is, and asks when they are 1,000 or more. Needs the role stagebus_operator.
    """

    def order(dry_run: bool) -> client.Call[client.Order]:
        return client.retry_tasks(
            job_id,
            stage,
            status=status,
            parameters=parameters,
            error=error,
            reason=manner.reason,
            dry_run=dry_run,
            at_most=at_most,
        )

    return give(database_url, manner, order)


@click.command()
@job_argument
@stage_option
@error_option
@parameters_option
@at_most_option
@yes_option
@gives_order
def redrive(
    job_id: UUID,
    stage: int,
    error: str,
    parameters: dict[str, Any],
    at_most: int | None,
    manner: Manner,
    database_url: str,
) -> ExitCode:
    """Publish the tasks again that failed as dead letters.

    The pattern of --error is compared with what the broker said. Asks as `retry` does. Needs the
    role stagebus_operator.
    """

    def order(dry_run: bool) -> client.Call[client.Order]:
        return client.redrive(
            job_id,
            stage,
            error=error,
            parameters=parameters,
            at_most=at_most,
            reason=manner.reason,
            dry_run=dry_run,
        )

    return give(database_url, manner, order)


@click.command()
@job_argument
@batch_argument
@gives_order
def hold(job_id: UUID, batch_id: UUID, manner: Manner, database_url: str) -> ExitCode:
    """Keep a batch from being published, until `stagebus unhold`.

    Needs the role stagebus_operator.
    """

    def order(dry_run: bool) -> client.Call[client.Order]:
        return client.hold_batch(job_id, batch_id, reason=manner.reason, dry_run=dry_run)

    return give(database_url, manner, order, asks_from=None)


@click.command()
@job_argument
@batch_argument
@gives_order
def unhold(job_id: UUID, batch_id: UUID, manner: Manner, database_url: str) -> ExitCode:
    """Let a held batch go on where it stopped.

    Needs the role stagebus_operator.
    """

    def order(dry_run: bool) -> client.Call[client.Order]:
        return client.unhold_batch(job_id, batch_id, reason=manner.reason, dry_run=dry_run)

    return give(database_url, manner, order, asks_from=None)


@click.command("retry-batch")
@job_argument
@batch_argument
@click.option("--unfinished", is_flag=True, help="Also what runs: its attempts are ended.")
@yes_option
@gives_order
def retry_batch(
    job_id: UUID, batch_id: UUID, unfinished: bool, manner: Manner, database_url: str
) -> ExitCode:
    """Publish a batch again: what no worker has started of it.

    Asks when those are 1,000 tasks or more, and always with --unfinished. Needs the role
    stagebus_operator.
    """

    def order(dry_run: bool) -> client.Call[client.Order]:
        return client.retry_batch(
            job_id, batch_id, unfinished=unfinished, reason=manner.reason, dry_run=dry_run
        )

    return give(database_url, manner, order, asks_from=0 if unfinished else MANY)


@click.command()
@click.argument("order_id", type=click.IntRange(1, 2**63 - 1), metavar="ORDER")
@yes_option
@gives_order
def undo(order_id: int, manner: Manner, database_url: str) -> ExitCode:
    """Take a hold or a cancelling back.

    A hold by its opposite, a cancelling by retrying what it cancelled. Asks when it cancelled
    1,000 tasks or more. `stagebus orders` has the numbers. Needs the role stagebus_operator.
    """

    def order(dry_run: bool) -> client.Call[list[client.Order]]:
        return client.undo_order(order_id, reason=manner.reason, dry_run=dry_run)

    return give(database_url, manner, order)


@click.command()
@click.option("--job", "job_id", type=click.UUID, metavar="JOB", help="Only those of this job.")
@click.option("--working", is_flag=True, help="Only those that are not worked off yet.")
@click.option("--limit", type=COUNT, default=20, metavar="N", help="How many at most.")
@json_option
@database_url_option
def orders(
    job_id: UUID | None, working: bool, limit: int, as_json: bool, database_url: str
) -> None:
    """What was ordered, by whom, when and why; the last first.

    Needs the role stagebus_monitor (or producer, or operator).
    """
    show(console.orders(database_url, job_id, working, limit), ORDERS, as_json)
