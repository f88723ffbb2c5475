"""The commands that set something: `stagebus pause`, `resume`, `rate-limit` and `priority`."""

from __future__ import annotations

from uuid import UUID

import click

from bridge import controls
from bridge.options import database_url_option
from bridge.printing import json_option, show

#: The columns that fit a terminal; --json has them all.
DESTINATION = ("destination", "status", "waiting_batches", "per_second", "pause_reason")
JOB = ("job_id", "job_type", "status", "priority")

destination_argument = click.argument("destination", metavar="DESTINATION")


def _rate(_context: click.Context, _parameter: click.Parameter, value: str) -> float | None:
    """What is out of range the database refuses."""
    if value == "none":
        return None
    try:
        return float(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither a number nor none.") from None


@click.command()
@destination_argument
@click.option("--reason", metavar="TEXT", help="Shown to whoever asks why nothing is published.")
@json_option
@database_url_option
def pause(destination: str, reason: str | None, as_json: bool, database_url: str) -> None:
    """Keep all of a destination back, until `stagebus resume`.

    A send that is under way is finished. Needs the role stagebus_operator.
    """
    show(controls.pause_destination(database_url, destination, reason), DESTINATION, as_json)


@click.command()
@destination_argument
@json_option
@database_url_option
def resume(destination: str, as_json: bool, database_url: str) -> None:
    """Let a paused or throttled destination go on.

    Needs the role stagebus_operator.
    """
    show(controls.resume_destination(database_url, destination), DESTINATION, as_json)


@click.command("rate-limit")
@destination_argument
@click.argument("per_second", callback=_rate, metavar="N|none")
@json_option
@database_url_option
def rate_limit(
    destination: str, per_second: float | None, as_json: bool, database_url: str
) -> None:
    """Limit the tasks a second that go to a destination.

    All bridges together take no more to it than N.

    Needs the role stagebus_operator.
    """
    show(controls.set_rate_limit(database_url, destination, per_second), DESTINATION, as_json)


@click.command()
@click.argument("job_id", type=click.UUID, metavar="JOB")
@click.argument("priority", type=click.IntRange(0, 9), metavar="N")
@json_option
@database_url_option
def priority(job_id: UUID, priority: int, as_json: bool, database_url: str) -> None:
    """Set a job's share of what is published.

    0 to 9; it counts while others wait. It is 5 at first; each step up doubles it. Needs the role
    stagebus_operator.
    """
    show(controls.set_priority(database_url, job_id, priority), JOB, as_json)
