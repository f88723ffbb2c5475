"""`python -m tests.mutants --help`."""

from __future__ import annotations

import random
import signal
import sys
import time
from collections import Counter
from fnmatch import fnmatch

import click

from tests.conftest import GIVEN, new_postgres
from tests.mutants.bench import KILLED, Bench, Verdict, bench
from tests.mutants.mutant import Mutant
from tests.mutants.mutants import MUTANTS


@click.command(context_settings={"show_default": True})
@click.option("--only", multiple=True, metavar="NAME", help="May be repeated, and have a *.")
@click.option("--sample", type=click.IntRange(1), help="So many of them, drawn at random.")
@click.option("--seed", type=int, default=1, help="The same seed draws the same ones.")
def main(only: tuple[str, ...], sample: int | None, seed: int) -> None:
    """Put one defect after the other into a copy of sql/ and see whether the tests notice."""
    mutants = [m for m in MUTANTS if not only or any(fnmatch(m.name, name) for name in only)]
    if sample is not None:
        drawn = random.Random(seed).sample(mutants, min(sample, len(mutants)))
        mutants = [mutant for mutant in mutants if mutant in drawn]
    # Whoever stops it leaves no server and no copy behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    if not mutants:
        raise click.ClickException("there is no mutant of that name")
    if GIVEN:
        sys.exit(try_all(mutants, GIVEN))
    with new_postgres() as postgres:
        sys.exit(try_all(mutants, postgres.url()))


def try_all(mutants: list[Mutant], database_url: str) -> int:
    """Tries them on one server; 1 when one was not killed."""
    began = time.monotonic()
    with bench({"STAGEBUS_TEST_DATABASE_URL": database_url}) as place:
        before = place.unharmed(mutants)
        if before.code != 0 or before.failed or before.errors:
            click.echo(before.output)
            raise click.ClickException("the tests do not even pass without a mutant")
        click.echo(
            f"{len(before.passed)} tests pass without a mutant ({time.monotonic() - began:.0f} s)"
        )
        verdicts = [tried(place, mutant, before.passed) for mutant in mutants]
    counts = Counter(verdict.kind for verdict in verdicts)
    summary = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
    click.echo(f"{len(verdicts)} mutants: {summary} ({time.monotonic() - began:.0f} s)")
    return 0 if counts[KILLED] == len(verdicts) else 1


def tried(place: Bench, mutant: Mutant, passing: set[str]) -> Verdict:
    verdict = place.judge(mutant, passing)
    click.echo(f"{verdict.kind:8} {verdict.seconds:5.1f} s  {mutant.name}  {verdict.what}")
    if verdict.kind != KILLED:
        click.echo(f"         {mutant.file}: {mutant.why}")
    return verdict


if __name__ == "__main__":
    main()
