"""What all programs share: rounds, figures, and the file to which each adds its own."""

from __future__ import annotations

import functools
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click

from bridge.local.postgres import DEFAULT_VERSION, server_binaries

PROJECT = Path(__file__).resolve().parents[1]
RESULTS = PROJECT / "build" / "bench.json"

#: Seconds in which is seen how busy the machine is.
LOOK = 0.5

#: Packages whose version may matter to a figure.
PACKAGES = ("azure-servicebus", "psycopg", "python-qpid-proton", "procrastinate", "pgqueuer")


@dataclass(frozen=True)
class Figure:
    """What was measured: the median of some rounds, the least and the largest of them."""

    value: float
    least: float
    largest: float
    rounds: int
    unit: str = ""


@dataclass(frozen=True)
class Series:
    """Points of a plot: by the name of each line."""

    x: str
    y: str
    lines: Mapping[str, Sequence[tuple[float, float]]]
    logarithmic: bool = True


Measured = dict[str, Figure | Series]


def over(values: Sequence[float], unit: str = "") -> Figure:
    """The figure of several rounds, to four digits."""
    return Figure(
        *(four_digits(each) for each in (statistics.median(values), min(values), max(values))),
        rounds=len(values),
        unit=unit,
    )


def once(value: float, unit: str = "") -> Figure:
    return over([value], unit)


def ratios(rounds: Sequence[Mapping[str, float]], above: str, below: str) -> Figure:
    """Each ratio within a round; the median is theirs."""
    return over([each[above] / each[below] for each in rounds], "×")


def four_digits(value: float) -> float:
    return float(f"{value:.4g}") if abs(value) < 1000 else round(value)


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that so many percent of them do not exceed."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def paired(
    rounds: int, parts: Mapping[str, Callable[[], float]], *, warm: bool = False
) -> list[dict[str, float]]:
    """Each part once in every round, in turn; after one that does not count, unless all is warm."""
    measured = [{name: part() for name, part in parts.items()} for _ in range(rounds + (not warm))]
    return measured[-rounds:]


def seconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def short(number: int) -> str:
    """A number as it is part of a figure's name: 1000000 is 1m."""
    for size, letter in ((1_000_000, "m"), (1000, "k")):
        if number >= size and number % size == 0:
            return f"{number // size}{letter}"
    return str(number)


def program(function: Callable[..., Measured]) -> click.Command:
    """A command that measures, prints, and adds to the file of results what was measured."""
    name = Path(function.__code__.co_filename).stem

    @click.command(help=(function.__doc__ or "").strip())
    @click.option("--results", type=click.Path(path_type=Path), default=RESULTS, hidden=True)
    @functools.wraps(function)
    def command(results: Path, **options: Any) -> None:
        busy = busy_share()
        began = time.perf_counter()
        measured = function(**options)
        record = {
            "command": " ".join(["python -m", f"benchmarks.{name}", *_given(options)]),
            "seconds": round(time.perf_counter() - began),
            "busy_before": busy,
            "machine": machine(),
            "versions": versions(options.get("postgres", DEFAULT_VERSION)),
            "figures": {
                key: asdict(value) for key, value in measured.items() if isinstance(value, Figure)
            },
            "series": {
                key: asdict(value) for key, value in measured.items() if isinstance(value, Series)
            },
        }
        add(results, name, record)
        for key, figure in measured.items():
            if isinstance(figure, Figure):
                click.echo(f"{key:36} {told(figure)}")

    return command


def told(figure: Figure) -> str:
    """A figure in a line, its spread in brackets."""
    text = f"{_grouped(figure.value)} {figure.unit}".strip()
    if figure.rounds > 1:
        text += f" ({_grouped(figure.least)} – {_grouped(figure.largest)})"
    return text


def add(results: Path, name: str, record: Mapping[str, object]) -> None:
    """Puts the record of a program into the file, in place of an earlier one."""
    known = json.loads(results.read_text()) if results.exists() else {}
    known[name] = record
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps(known, indent=2) + "\n")


def machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores ({platform.machine()}), {memory:.0f} GiB, {platform.system()}"


def busy_share() -> float:
    """The part of the machine that others use now; its load would tell of our own programs."""

    def ticks() -> tuple[int, int]:
        with Path("/proc/stat").open() as file:
            each = [int(number) for number in file.readline().split()[1:9]]
        return sum(each) - each[3] - each[4], sum(each)

    busy, all_of_it = ticks()
    time.sleep(LOOK)
    busier, more = ticks()
    return round((busier - busy) / max(1, more - all_of_it), 2)


def versions(postgres: int) -> dict[str, str]:
    found = {
        "PostgreSQL": _said(str(server_binaries(postgres) / "postgres"), "--version").split()[-1],
        "Python": platform.python_version(),
        "commit": commit(),
    }
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """What is checked out, `+` if there are changes beside it; "" where that is no repository."""
    return _said("git", "-C", str(PROJECT), "describe", "--always", "--exclude=*", "--dirty=+")


def say(text: str) -> None:
    """How far it is: on stderr, so that figures stand alone."""
    print(text, file=sys.stderr, flush=True)


def _grouped(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}"


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _given(options: Mapping[str, Any]) -> list[str]:
    """Options as somebody would type them, defaults included."""
    flags = {param.name: param.opts[0] for param in click.get_current_context().command.params}
    words = []
    for key, value in options.items():
        if isinstance(value, bool):
            words += [flags[key]] if value else []
        else:
            for each in value if isinstance(value, tuple) else (value,):
                words += [flags[key], str(each)]
    return words
