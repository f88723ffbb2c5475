"""Options and kinds of values that several commands share."""

from __future__ import annotations

import math
from typing import Any

import click

from bridge.connection import check_url

#: The number of a stage, as the database has it.
STAGE = click.IntRange(1, 32_767)


class Seconds(click.FloatRange):
    """A range of seconds; `nan` lies in none, though every comparison lets it pass."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        seconds = float(super().convert(value, param, ctx))
        if math.isnan(seconds):
            self.fail(f"{value!r} is not a number of seconds.", param, ctx)
        return seconds


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
