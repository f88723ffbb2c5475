"""`python -m tests.faults --help`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from tests.faults.run import Plan, run


@click.command(context_settings={"show_default": True})
@click.option("--tasks", type=click.IntRange(1), default=300_000)
@click.option("--seconds", type=click.FloatRange(1), default=300.0, help="How long to disturb.")
@click.option("--restarts", type=click.IntRange(0), default=2, help="Restarts of PostgreSQL.")
@click.option("--seed", type=int, default=1, help="The same seed draws the same faults.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("build/faults"),
    help="Where logs and the verdict go; emptied before.",
)
def main(tasks: int, seconds: float, restarts: int, seed: int, folder: Path) -> None:
    """Disturb two bridges and two workers at random, and count what became of every task."""
    verdict = run(Plan(tasks, seconds, restarts, seed, folder.resolve()), click.echo)
    click.echo(json.dumps(verdict.as_json(), indent=2))
    click.echo(f"what happened, in order: {folder / 'timeline.log'}")
    sys.exit(0 if verdict.good else 1)


if __name__ == "__main__":
    main()
