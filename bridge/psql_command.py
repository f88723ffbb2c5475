"""The command `stagebus psql`: psql, with scripts that answer by a word."""

from __future__ import annotations

import os

import click
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from bridge.options import database_url_option
from bridge.replay import directory


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[PSQL'S ARGUMENTS]...")
@database_url_option
def psql(arguments: tuple[str, ...], database_url: str) -> None:
    """Open psql, with words that answer.

    These are :status, :watch, :top, :stuck and :doctor. It sets PSQLRC to the file psqlrc of this
    installation, beside which the scripts are, and PGPASSWORD to the URL's password, if it has one.
    It wants a psql of version 13 or later on the PATH.
    """
    scripts = directory("sql") / "psql"
    environment = {**os.environ, "PSQLRC": str(scripts / "psqlrc")}
    parts = conninfo_to_dict(database_url)
    # Everybody on this machine can read the arguments of a process, but only we its environment.
    if "password" in parts:
        environment["PGPASSWORD"] = str(parts.pop("password"))
    rest = make_conninfo("", **parts)
    try:
        os.execvpe("psql", ["psql", *arguments, "--dbname", rest], environment)  # noqa: S606, S607
    except FileNotFoundError:
        raise click.ClickException(
            f"there is no psql on the PATH; the scripts are in {scripts}"
        ) from None
