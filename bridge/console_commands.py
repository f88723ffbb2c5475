"""The commands that look: `stagebus status`, `wait`, `why` and `doctor`."""

from __future__ import annotations

from uuid import UUID

import click

from bridge import console
from bridge.options import STAGE, Seconds, database_url_option
from bridge.printing import json_option, one_line, print_json, show, visible

#: The columns that fit a terminal; --json has them all.
PROGRESS = (
    "stage",
    "task_type",
    "stage_status",
    "tasks",
    "pending_queue",
    "queued",
    "processing",
    "retry_wait",
    "completed",
    "failed",
    "cancelled",
    "percent",
)
BATCHES = (
    "stage",
    "batch_id",
    "status",
    "tasks",
    "published_through",
    "dispatch",
    "sends",
    "publish_attempts",
    "last_error",
)


@click.command()
@click.argument("job_id", type=click.UUID, required=False, metavar="[JOB]")
@click.option("--stage", type=STAGE, help="Only this stage.")
@click.option("--batches", is_flag=True, help="The batches instead of the stages.")
@click.option("--batch", "batch_id", type=click.UUID, metavar="ID", help="Only this batch.")
@json_option
@database_url_option
def status(
    job_id: UUID | None,
    stage: int | None,
    batches: bool,
    batch_id: UUID | None,
    as_json: bool,
    database_url: str,
) -> None:
    """How a job stands, or all jobs that have not ended.

    A row per stage, with how many of its tasks are in each state; with --batches or --batch, a
    row per batch. Needs the role stagebus_monitor (or producer, or operator).
    """
    if job_id is None:
        if stage is not None or batches or batch_id is not None:
            raise click.UsageError("--stage, --batches and --batch need a JOB")
        show(console.jobs_status(database_url), ("job_id", "job_type", *PROGRESS), as_json)
    elif batches or batch_id is not None:
        show(console.batches_status(database_url, job_id, stage, batch_id), BATCHES, as_json)
    else:
        show(console.job_status(database_url, job_id, stage), PROGRESS, as_json)


@click.command()
@click.argument("job_id", type=click.UUID, metavar="JOB")
@click.option("--stage", type=STAGE, help="Wait for the end of this stage only.")
@click.option("--timeout", type=Seconds(0), metavar="SECONDS", help="Wait no longer.")
@click.option("--quiet", is_flag=True, help="Print nothing; the exit code says it all.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, once, at the end.")
@database_url_option
def wait(
    job_id: UUID,
    stage: int | None,
    timeout: float | None,
    quiet: bool,
    as_json: bool,
    database_url: str,
) -> None:
    """Wait until a job has ended.

    \b
    Exit codes: 0 completed
                1 an error, such as a job that does not exist
                2 a wrong call
                3 completed with errors
                4 failed or cancelled
                5 not ended within --timeout

    A database that restarts or fails over meanwhile is asked again for up to a minute.
    """

    seen = ""

    def look(text: str) -> None:
        nonlocal seen
        seen = text
        if not quiet and not as_json:
            click.echo(text)

    def away(text: str) -> None:
        if not quiet:
            click.echo(text, err=True)

    code = console.wait_for_end(database_url, job_id, stage, timeout, look, away)
    if as_json:
        print_json({"job_id": job_id, "stage": stage, "status": seen, "exit_code": int(code)})
    elif code is console.ExitCode.TIMED_OUT and not quiet:
        click.echo(f"not ended within {timeout:g} s", err=True)
    raise SystemExit(int(code))


@click.command()
@click.argument("job_id", type=click.UUID, metavar="JOB")
@json_option
@database_url_option
def why(job_id: UUID, as_json: bool, database_url: str) -> None:
    """Why a job does not go on, and what to type.

    For each cause: what it is, what shows it, and the statement that mends it, to be pasted into
    psql; a line that begins with -- says what else to do. Needs the role stagebus_monitor (or
    producer, or operator). The statements need stagebus_operator, but seal_stage and
    create_stage_tasks need stagebus_producer.
    """
    causes = console.why_stuck(database_url, job_id)
    if as_json:
        print_json(causes)
    for cause in () if as_json else causes:
        stage = "" if cause["stage"] is None else f" (stage {cause['stage']})"
        _print_finding(f"{cause['cause']}{stage}: {cause['evidence']}", cause["fix"])


@click.command()
@json_option
@database_url_option
def doctor(as_json: bool, database_url: str) -> None:
    """What threatens the system, and what to type.

    Needs the role stagebus_monitor or stagebus_operator; to see since when the sessions of other
    roles have a transaction open, pg_read_all_stats as well.

    \b
    Exit codes: 0 nothing, or no more than a notice
                1 an error, such as a database that does not answer
                2 a wrong call
                3 a warning
                4 something critical
    """
    findings = console.doctor(database_url)
    if as_json:
        print_json(findings)
    for finding in () if as_json else findings:
        _print_finding(f"{finding['severity']}: {finding['finding']}", finding["fix"])
    raise SystemExit(int(max(console.HEALTH[finding["severity"]] for finding in findings)))


def _print_finding(text: str, fix: str) -> None:
    # In a name that the fix quotes, white space counts.
    click.echo(f"{one_line(text)}\n    {visible(fix)}")
