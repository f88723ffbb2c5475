"""How the commands print what the database told them: a table for people, or JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click
from psycopg.rows import DictRow

Rows = Sequence[DictRow]

#: What ends a line, what a terminal obeys, and what turns the direction of the text round.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


def visible(text: str) -> str:
    """For a terminal, where others' text must look like no more than text: controls become `?`."""
    return _CONTROLS.sub("?", text)


def one_line(text: str) -> str:
    """The same for what is only read: all white space between two words is one space."""
    return visible(" ".join(text.split()))


def as_table(rows: Rows) -> str:
    """A line of names and a line per row, aligned: numbers to the right, the rest to the left."""
    if not rows:
        return "nothing to show"
    names = list(rows[0])
    cells = [[_cell(row[name]) for name in names] for row in rows]
    numeric = [all(isinstance(row[name], int | float) for row in rows) for name in names]
    widths = [
        max(len(name), *(len(line[column]) for line in cells)) for column, name in enumerate(names)
    ]
    return "\n".join(
        "  ".join(
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in [names, *cells]
    )


def show(rows: Rows, columns: Sequence[str], as_json: bool) -> None:
    """A table of the columns that fit a terminal; JSON of all."""
    if as_json:
        print_json(rows)
    else:
        click.echo(as_table([{name: row[name] for name in columns} for row in rows]))


def print_json(what: object) -> None:
    """One line."""
    click.echo(json.dumps(what, default=_plain))


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    return "-" if value is None else one_line(str(value))


def _plain(value: Any) -> str | float:
    """Dates, durations and ids as text, decimals as numbers."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value)
