"""`python -m tests.life --help`."""

from __future__ import annotations

import time
from collections import Counter

import click

from bridge.migrate import migrate
from tests.client import Client
from tests.conftest import new_postgres
from tests.life.crowd import run_crowd
from tests.life.machine import Life
from tests.life.run import run_machine

RUNS = 50


@click.command(context_settings={"show_default": True})
@click.option("--seconds", type=click.FloatRange(1), default=60.0, help="For each of the two.")
@click.option("--steps", type=click.IntRange(1), help="Of the first, instead of --seconds.")
@click.option("--seed", type=int, default=1, help="Of the first runs; the next have the next.")
def main(seconds: float, steps: int | None, seed: int) -> None:
    """Anything in any order: first one session against the model, then sixteen at once."""
    with new_postgres() as postgres:
        url = postgres.url()
        migrate(url)
        with Client(url) as client:
            end, next_seed = time.monotonic() + seconds, seed
            while Life.steps < steps if steps else time.monotonic() < end:
                click.echo(f"seed {next_seed}: after {Life.steps} steps")
                run_machine(client, RUNS, next_seed)
                next_seed += 1
            _report(f"{Life.steps} steps, each as the model says", Life.done)
            click.echo(f"sixteen sessions, seed {seed}")
            _report("nothing deadlocked, all ended", run_crowd(client, seconds, seed))


def _report(what: str, done: Counter[str]) -> None:
    click.echo(what)
    for name, times in sorted(done.items()):
        click.echo(f"{times:>8} {name}")


if __name__ == "__main__":
    main()
