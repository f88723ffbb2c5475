"""`python -m tests.faults --help`."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import click

from tests.faults.run import Plan, run


@click.command(context_settings={"show_default": True})
@click.option("--minutes", type=click.FloatRange(0.1), default=10.0, help="How long to disturb.")
@click.option("--seed", type=int, default=1, help="The same seed schedules the same faults.")
@click.option(
    "--rate", type=click.FloatRange(1), default=300.0, help="Tasks to be committed a second."
)
@click.option("--pace", type=click.FloatRange(0.1), default=1.1, help="Seconds between two faults.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("build/chaos"),
    help="Where logs and ledgers go; emptied before.",
)
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("build/chaos.json"),
    help="Where the verdict goes.",
)
def main(minutes: float, seed: int, rate: float, pace: float, folder: Path, report: Path) -> None:
    """Disturb producers, three bridges, workers, PostgreSQL and the broker; count every task.

    Ends with 0 when nothing was lost, made up or doubled, and every fault was felt.
    """
    # Whoever stops it leaves no process behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    verdict = run(Plan(minutes, seed, folder.resolve(), rate, pace), click.echo)
    text = json.dumps({"seed": seed, "minutes": minutes, **verdict.as_json()}, indent=2)
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(text + "\n", "utf-8")
    click.echo(text)
    click.echo(f"what happened, in order: {folder / 'timeline.log'}")
    sys.exit(0 if verdict.good else 1)


if __name__ == "__main__":
    main()
