"""`python -m tests.plans.random_dags --help`."""

from __future__ import annotations

import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path

import click

from bridge.local.endpoint.process import RunningEndpoint, run_endpoint
from bridge.migrate import migrate
from tests.bridge.conftest import BridgeProcess, bridge_process, journal_ids
from tests.client import Client
from tests.conftest import new_postgres
from tests.plans.random_dags.bridges import SETTINGS, run_bridges
from tests.plans.random_dags.by_hand import run_by_hand
from tests.plans.random_dags.crowd import run_crowd


@click.command(context_settings={"show_default": True})
@click.option("--seconds", type=click.FloatRange(1), default=60.0, help="For each of the three.")
@click.option("--seed", type=int, default=1, help="Of the first runs; the next have the next.")
def main(seconds: float, seed: int) -> None:
    """Jobs of random plans: advanced by hand, by a crowd, and by bridges that are killed."""
    by_hand = _repeat(lambda client, each: run_by_hand(client, each, 5), seconds, seed)
    _report("by hand, each as the model says", by_hand)
    crowd = _repeat(lambda client, each: run_crowd(client, each), seconds, seed)
    _report("six threads, nothing deadlocked, each as the model says", crowd)
    with tempfile.TemporaryDirectory() as folder:
        bridges = _repeat(
            lambda client, each: _with_bridges(client, each, Path(folder)), seconds, seed
        )
    _report("bridges that were killed, each as the model says", bridges)


def _repeat(run: Callable[[Client, int], Counter[str]], seconds: float, seed: int) -> Counter[str]:
    """Seed after seed, each in a fresh database, on one server."""
    end, done = time.monotonic() + seconds, Counter[str]()
    with new_postgres() as postgres:
        for each in count(seed):
            if time.monotonic() >= end:
                return done
            click.echo(f"seed {each}")
            with Client(postgres.url()) as maintenance:
                maintenance.execute(f"create database seed_{each}")
            url = postgres.url(f"seed_{each}")
            migrate(url)
            with Client(url) as client:
                done += run(client, each)
            with Client(postgres.url()) as maintenance:
                maintenance.execute(f"drop database seed_{each} with (force)")
    raise AssertionError("unreachable")


def _with_bridges(client: Client, seed: int, folder: Path) -> Counter[str]:
    journal = folder / f"journal-{seed}"
    with run_endpoint(["tasks"], arguments=["--journal", str(journal)]) as endpoint:
        numbers = count(1)

        def start(points: str) -> BridgeProcess:
            log = folder / f"bridge-{seed}-{next(numbers)}.log"
            return bridge_process(log, _environment(client, endpoint, points))

        return run_bridges(client, start, lambda: list(journal_ids([journal]).elements()), seed)


def _environment(client: Client, endpoint: RunningEndpoint, points: str) -> dict[str, str]:
    return {
        **os.environ,
        "STAGEBUS_DATABASE_URL": client.url,
        "STAGEBUS_SERVICEBUS_CONNECTION_STRING": endpoint.connection_string,
        "STAGEBUS_ALLOW_FSYNC_OFF": "1",
        "STAGEBUS_FAILPOINTS": points,
        **SETTINGS,
    }


def _report(what: str, done: Counter[str]) -> None:
    click.echo(what)
    for name, times in sorted(done.items()):
        click.echo(f"{times:>8} {name}")


if __name__ == "__main__":
    main()
