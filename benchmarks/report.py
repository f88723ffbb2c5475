"""Writes what was measured into benchmarks/README.md: tables between markers, and plots.

Of each program in the file of results, what stands between `<!-- measured: NAME -->` and
`<!-- end -->` is replaced; what others have stays. Plots go to benchmarks/plots/.

    python -m benchmarks.report [--results build/bench.json]
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from benchmarks.measure import PROJECT, RESULTS, Figure, Series, told
from benchmarks.plots import bars, lines

PAGE = PROJECT / "benchmarks" / "README.md"

_PART = re.compile(r"(<!-- measured: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

#: Where others used more of the machine than that, figures are called upper bounds.
IDLE = 0.1

#: Bars of figures that end alike, by the program that has them: prefix, suffix, title.
COMPARED = {
    "create_peers": ("create_", "_rows_per_s", "tasks created"),
    "relay": ("", "_msgs_per_s", "messages from the database to the broker"),
    "encode": ("", "_msgs_per_s", "messages encoded and sent"),
}

Record = Mapping[str, Any]


def table(record: Record) -> str:
    """The figures of a program, and under what conditions they were measured."""
    rows = [
        f"| `{name}` | {told(Figure(**figure))} |" for name, figure in record["figures"].items()
    ]
    versions = ", ".join(f"{name} {value}" for name, value in record["versions"].items() if value)
    text = "| figure | median (least – largest) |\n|---|---|\n" + "\n".join(rows)
    text += f"\n\n`{record['command']}`, {record['seconds']} s. {record['machine']}; {versions}.\n"
    if (busy := record["busy_before"]) is None:
        text += "\n**How busy the machine was before was not recorded.**\n"
    elif busy > IDLE:
        text += (
            f"\n**The machine was not idle** ({busy:.0%} of it in use before): upper bounds of"
            " times, lower ones of rates, to be measured again.\n"
        )
    return text


def plots(name: str, record: Record) -> dict[str, str]:
    """SVG by the name of its file, without the ending."""
    found = {
        key: lines(key.replace("_", " "), Series(**series))
        for key, series in record["series"].items()
    }
    if name in COMPARED:
        prefix, suffix, title = COMPARED[name]
        values = {
            key.removeprefix(prefix).removesuffix(suffix).replace("_", " "): figure["value"]
            for key, figure in record["figures"].items()
            if key.startswith(prefix) and key.endswith(suffix)
        }
        found[name] = bars(f"{title}, per second (logarithmic)", values, "")
    return found


def page_with(text: str, results: Mapping[str, Record], drawn: Mapping[str, list[str]]) -> str:
    """The page with the tables of these results, and the plots that were drawn."""

    def part(match: re.Match[str]) -> str:
        name = match[2]
        if name not in results:
            return match[0]
        images = "".join(f"\n![{plot}](plots/{plot}.svg)\n" for plot in drawn.get(name, ()))
        return f"{match[1]}{table(results[name])}{images}{match[3]}"

    return _PART.sub(part, text)


@click.command()
@click.option(
    "--results", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=RESULTS
)
@click.option("--page", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=PAGE)
def main(results: Path, page: Path) -> None:
    """Bring the tables and plots of the page up to date."""
    known: dict[str, Record] = json.loads(results.read_text())
    drawn: dict[str, list[str]] = {}
    folder = page.parent / "plots"
    folder.mkdir(exist_ok=True)
    for name, record in known.items():
        for plot, svg in plots(name, record).items():
            (folder / f"{plot}.svg").write_text(svg)
            drawn.setdefault(name, []).append(plot)
    page.write_text(page_with(page.read_text(), known, drawn))


if __name__ == "__main__":
    main()
