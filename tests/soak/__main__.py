"""`python -m tests.soak --help`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from tests.soak.stops import run_stops
from tests.soak.throttling import run_throttling


@click.command(context_settings={"show_default": True})
@click.option("--stops", type=click.IntRange(1), default=200)
@click.option("--throttled", type=click.FloatRange(2), default=60.0, help="Seconds.")
@click.option("--seed", type=int, default=1, help="The same seed draws the same moments.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("build/soak"),
    help="Where logs go; emptied before.",
)
def main(stops: int, throttled: float, seed: int, folder: Path) -> None:
    """The broker throttles; then a bridge is told to stop at any moment, again and again."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    throttling = run_throttling(folder.resolve(), throttled, click.echo)
    click.echo(throttling)
    (folder / "endpoint.journal").unlink()
    stopping = run_stops(folder.resolve(), stops, seed, click.echo)
    click.echo(stopping)
    sys.exit(0 if throttling.good and stopping.good else 1)


if __name__ == "__main__":
    main()
