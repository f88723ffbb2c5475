"""Options that several commands share."""

from __future__ import annotations

import click

from bridge.connection import check_url


def _checked_url(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    check_url(value)
    return value


database_url_option = click.option(
    "--database-url",
    envvar="STAGEBUS_DATABASE_URL",
    required=True,
    callback=_checked_url,
    metavar="URL",
    help="PostgreSQL: a libpq URL or conninfo string.",
)
