"""The command `stagebus watch`: a job as it goes on, until it has ended."""

from __future__ import annotations

import os
import shutil
import sys
import time
from uuid import UUID

import click

from bridge.console import ENDS, ExitCode
from bridge.drawing import glyphs_for
from bridge.options import Seconds, database_url_option
from bridge.printing import print_json
from bridge.watch_screen import Redrawn, line, screen
from bridge.watching import Look, Past, looks

#: Seconds between two looks: on a terminal, and elsewhere.
OFTEN, SELDOM = 1.0, 5.0


@click.command()
@click.argument("job_id", type=click.UUID, metavar="JOB")
@click.option(
    "--every",
    type=Seconds(0.1, 3600),
    metavar="SECONDS",
    help="Between two looks; 1 on a terminal, else 5, unless it is given.",
)
@click.option("--timeout", type=Seconds(0), metavar="SECONDS", help="Watch no longer.")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON per look.")
@database_url_option
def watch(
    job_id: UUID, every: float | None, timeout: float | None, as_json: bool, database_url: str
) -> None:
    """Watch a job until it has ended.

    A bar for each stage, how fast its tasks end and when the last one will have, the stages of
    its plan that are to come, and the last minute's rate of the job: drawn in place on a terminal;
    elsewhere a line per look. Needs the role stagebus_monitor (or producer, or operator).

    \b
    Exit codes: 0 completed
                1 an error, such as a job that does not exist
                2 a wrong call
                3 completed with errors
                4 failed or cancelled
                5 not ended within --timeout, or until Ctrl-C; the job goes on

    A database that restarts or fails over meanwhile is asked again for up to a minute.
    """
    in_place = not as_json and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    if every is None:
        every = OFTEN if in_place else SELDOM
    past = Past()
    redrawn = Redrawn()
    glyphs = glyphs_for(sys.stdout.encoding)

    def show(look: Look) -> None:
        past.add(look)
        if as_json:
            told = {"status": look.status, "stages": look.stages, "coming": look.coming}
            print_json({"job_id": job_id, **told})
        elif in_place:
            columns, lines = shutil.get_terminal_size()
            redrawn.show(screen(look, past, glyphs, columns - 1, lines - 1))
        else:
            click.echo(line(look, past))

    def away(text: str) -> None:
        redrawn.leave()
        click.echo(text, err=True)

    begin = time.monotonic()
    code = ExitCode.TIMED_OUT
    try:
        for look in looks(database_url, job_id, every, timeout, away):
            show(look)
            code = ENDS.get(look.status, code)
    except KeyboardInterrupt:
        code = ExitCode.TIMED_OUT
    if code is ExitCode.TIMED_OUT:
        click.echo(f"not ended after {time.monotonic() - begin:.0f} s; the job goes on", err=True)
    raise SystemExit(int(code))
