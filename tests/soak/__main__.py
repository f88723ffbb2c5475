"""`python -m tests.soak --help`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from tests.soak.stops import run_stops


@click.command(context_settings={"show_default": True})
@click.option("--stops", type=click.IntRange(1), default=200)
@click.option("--seed", type=int, default=1, help="The same seed draws the same moments.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("build/soak"),
    help="Where logs go; emptied before.",
)
def main(stops: int, seed: int, folder: Path) -> None:
    """A bridge that is told to stop at any moment, again and again."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    report = run_stops(folder.resolve(), stops, seed, click.echo)
    click.echo(report)
    sys.exit(0 if report.good else 1)


if __name__ == "__main__":
    main()
