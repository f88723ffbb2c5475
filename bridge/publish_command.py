"""The command `stagebus publish`: a stage all or nothing, and the answer as an exit code."""

from __future__ import annotations

import json
from datetime import timedelta
from enum import IntEnum
from uuid import UUID

import click
import psycopg

from bridge.client import (
    Publication,
    call,
    publish_and_wait,
    publish_stage,
)
from bridge.errors import PublicationUnknown
from bridge.options import STAGE, Seconds, database_url_option
from bridge.printing import one_line


class ExitCode(IntEnum):
    """What `stagebus publish` exits with; 1 is any error, 2 a wrong call."""

    CONFIRMED = 0
    """Or, without --wait, on its way."""
    WITHDRAWN = 4
    UNKNOWN = 5


@click.command()
@click.argument("job_id", type=click.UUID, metavar="JOB")
@click.argument("stage", type=STAGE, metavar="STAGE")
@click.option(
    "--timeout",
    type=Seconds(0.001, 86_400),
    default=60.0,
    metavar="SECONDS",
    help="When it is withdrawn, unless it is confirmed by then.",
)
@click.option("--wait", is_flag=True, help="Wait for the answer.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, once, at the end.")
@database_url_option
def publish(
    job_id: UUID, stage: int, timeout: float, wait: bool, as_json: bool, database_url: str
) -> None:
    """Publish a filling stage all or nothing.

    The stage was made with seal => false. Its tasks run once all of it is on the broker; if that
    cannot be, or not in time, all of it goes away but an audit row. Whoever is killed meanwhile, it
    ends in one of the two; the same command again tells which. Needs the role stagebus_producer.

    \b
    Exit codes: 0 confirmed; without --wait: on its way
                1 an error, such as a stage that is not filling
                2 a wrong call
                4 withdrawn
                5 not known: the database does not answer, or Ctrl-C ended the waiting; the same
                  command again tells, and begins what has not begun
    """
    within = timedelta(seconds=timeout)

    def look(found: Publication) -> None:
        if not as_json:
            click.echo(one_line(describe(found)))

    try:
        if wait:
            found = publish_and_wait(database_url, job_id, stage, within, look=look)
        else:
            found = _begin(database_url, job_id, stage, within)
            look(found)
    except PublicationUnknown as error:
        click.echo(one_line(str(error)), err=True)
        raise SystemExit(int(ExitCode.UNKNOWN)) from error
    except KeyboardInterrupt:
        click.echo("not waited for any longer; what has begun goes on: ask again", err=True)
        raise SystemExit(int(ExitCode.UNKNOWN)) from None
    if as_json:
        click.echo(json.dumps(found._asdict(), default=str))
    code = ExitCode.WITHDRAWN if found.status == "withdrawn" else ExitCode.CONFIRMED
    raise SystemExit(int(code))


def _begin(database_url: str, job_id: UUID, stage: int, within: timedelta) -> Publication:
    """One call; raises PublicationUnknown when its answer was lost."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        try:
            return call(connection, publish_stage(job_id, stage, within))
        except psycopg.OperationalError as error:
            reason = " ".join(str(error).split())
            raise PublicationUnknown(
                f"whether the publication has begun is not known ({reason}): ask again, with the"
                " same command"
            ) from error


def describe(found: Publication) -> str:
    """One line of how it stands."""
    match found.status:
        case "waiting":
            return (
                f"waiting: {found.queued_batches} of {found.batches} batches are on the broker;"
                f" until {found.confirm_by:%Y-%m-%d %H:%M:%S%z}"
            )
        case "withdrawn":
            return f"withdrawn (order {found.order_id}): {found.reason}"
        case _:
            return f"confirmed: {found.tasks} tasks in {found.batches} batches"
