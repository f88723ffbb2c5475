"""`python -m tests.life --help`."""

from __future__ import annotations

import time

import click

from bridge.migrate import migrate
from tests.client import Client
from tests.conftest import new_postgres
from tests.life.machine import Life
from tests.life.run import run_machine

RUNS = 50


@click.command(context_settings={"show_default": True})
@click.option("--steps", type=click.IntRange(1), default=None, help="Instead of --seconds.")
@click.option("--seconds", type=click.FloatRange(1), default=60.0)
@click.option("--seed", type=int, default=1, help="The first of the seeds; the next is one more.")
def main(steps: int | None, seconds: float, seed: int) -> None:
    """Do anything in any order, and compare the database with the model after each step."""
    with new_postgres() as postgres:
        url = postgres.url("postgres")
        migrate(url)
        with Client(url) as client:
            end = time.monotonic() + seconds
            while Life.steps < steps if steps else time.monotonic() < end:
                click.echo(f"seed {seed}: after {Life.steps} steps")
                run_machine(client, RUNS, seed)
                seed += 1
    click.echo(f"{Life.steps} steps, and nothing found")
    for what, times in sorted(Life.done.items()):
        click.echo(f"{times:>8} {what}")


if __name__ == "__main__":
    main()
