"""The options of the commands that give orders, and how these exit."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from bridge.exact_json import loads
from bridge.options import STAGE, Seconds, database_url_option
from bridge.steering import ExitCode, Manner

#: Ends the help of each.
EXITS = """

    \b
    Exit codes: 0 done; with --dry-run or --no-wait: told
                1 an error, such as a job that does not exist; nothing was done
                2 a wrong call, or nobody can be asked and --yes is missing
                3 the order was stopped by another
                4 not confirmed; nothing was done
                5 not done within --timeout, or until Ctrl-C; the order goes on
    """

COUNT = click.IntRange(1, 2_147_483_647)


def gives_order(command: Callable[..., ExitCode]) -> Callable[..., None]:
    """Adds the options that all of them share, as one Manner, and the exit codes to its help."""

    @click.option("--reason", metavar="TEXT", help="Kept with the order.")
    @click.option("--dry-run", is_flag=True, help="Only say what it would do.")
    @click.option(
        "--wait/--no-wait", default=True, help="Wait until the order is worked off, by a bridge."
    )
    @click.option("--timeout", type=Seconds(0), metavar="SECONDS", help="Wait no longer.")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON, once, at the end.")
    @database_url_option
    @functools.wraps(command)
    def with_manner(
        *arguments: Any,
        reason: str | None,
        dry_run: bool,
        wait: bool,
        timeout: float | None,
        as_json: bool,
        yes: bool = False,
        **named: Any,
    ) -> None:
        manner = Manner(reason, dry_run, yes, wait, timeout, as_json)
        raise SystemExit(int(command(*arguments, manner=manner, **named)))

    with_manner.__doc__ = (command.__doc__ or "").rstrip() + EXITS
    return with_manner


job_argument = click.argument("job_id", type=click.UUID, metavar="JOB")
batch_argument = click.argument("batch_id", type=click.UUID, metavar="BATCH")
stage_option = click.option("--stage", type=STAGE, required=True, help="Of this stage.")
error_option = click.option(
    "--error", default="%", metavar="PATTERN", help="Only those whose error is LIKE this."
)
at_most_option = click.option("--at-most", type=COUNT, metavar="N", help="Only the first of them.")
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


def _parameters(_context: click.Context, _parameter: click.Parameter, value: str) -> dict[str, Any]:
    try:
        read = loads(value)
    except ValueError as error:
        raise click.BadParameter(f"not JSON: {error}") from error
    if not isinstance(read, dict):
        raise click.BadParameter("not a JSON object")
    return read


parameters_option = click.option(
    "--parameters",
    default="{}",
    callback=_parameters,
    metavar="JSON",
    help="Only those whose parameters contain this object.",
)
