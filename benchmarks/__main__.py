"""All programs, one after the other, each a process: `make bench`, `make bench QUICK=1`.

Quick runs have smaller sizes and fewer rounds, and a file of results of their own. It fails when a
program does, or when a ratio is out of its bounds; no absolute time is judged, since machines
differ.

    python -m benchmarks [--quick] [--only create --only relay]
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import click

from benchmarks.measure import PROJECT, RESULTS, say

QUICK_RESULTS = RESULTS.with_name("bench-quick.json")

#: Each program with what it is told when it is to be quick.
PROGRAMS = {
    "create": "--tasks 100000 --rounds 3",
    "create_peers": "--tasks 10000 --looped 200 --rounds 1",
    "encode": "--messages 10000 --rounds 2",
    "relay": "--tasks 20000 --singles 100 --batches 2000 --rounds 1",
    "distant": "--tasks 10000 --rounds 1",
    "end_to_end": "--tasks 1000 --tasks 10000 --rounds 1",
    "latency": "--stages 20 --rounds 1",
    "small_stages": "--stages 100 --rounds 1",
    "mark_queued": "",
    "claim": "--waiting 100 --waiting 10000 --claims 50 --rounds 1",
    "idle": "--length 5",
    "complete": "--pairs 2 --duration 1 --rounds 1",
    "advance": "--jobs 20 --tasks 10000 --rounds 1",
    "beside": "--large 20000 --rounds 1",
    "retention": "--tasks 5000 --rounds 1",
    "endpoint": "--messages 20000 --completed 500",
}

#: What a ratio must be, in words and as a rule.
BOUNDS: Mapping[str, tuple[str, Callable[[float], bool]]] = {
    "relay_ratio_to_sdk": ("at least 4", lambda ratio: ratio >= 4),
    "create_ratio_to_raw": ("at most 2", lambda ratio: ratio <= 2),
}


def run(name: str, *, quick: bool, results: Path) -> bool:
    """True when the program ended well."""
    say(f"--- {name}")
    arguments = PROGRAMS[name].split() if quick else []
    command = [sys.executable, "-m", f"benchmarks.{name}", *arguments, "--results", str(results)]
    began = time.monotonic()
    done = subprocess.run(command, cwd=PROJECT, check=False)
    say(f"    {time.monotonic() - began:.0f} s")
    return done.returncode == 0


def out_of_bounds(
    results: Mapping[str, Mapping[str, Mapping[str, Mapping[str, float]]]],
) -> list[str]:
    """A sentence for each ratio that is not as it must be."""
    figures = {
        name: figure["value"]
        for record in results.values()
        for name, figure in record["figures"].items()
    }
    return [
        f"{name} is {figures[name]:g}; it must be {words}"
        for name, (words, holds) in BOUNDS.items()
        if name in figures and not holds(figures[name])
    ]


@click.command()
@click.option("--quick", is_flag=True, help="Small sizes, few rounds.")
@click.option("--only", type=click.Choice(list(PROGRAMS)), multiple=True, help="These programs.")
def main(quick: bool, only: tuple[str, ...]) -> None:
    """Run the programs; write build/bench.json, or build/bench-quick.json."""
    results = QUICK_RESULTS if quick else RESULTS
    names = only or tuple(PROGRAMS)
    failed = [name for name in names if not run(name, quick=quick, results=results)]
    complaints = [f"{name} failed" for name in failed]
    if results.exists():
        known = json.loads(results.read_text())
        complaints += out_of_bounds({name: known[name] for name in names if name in known})
    for complaint in complaints:
        click.echo(complaint, err=True)
    sys.exit(1 if complaints else 0)


if __name__ == "__main__":
    main()
