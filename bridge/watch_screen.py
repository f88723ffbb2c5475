"""What `stagebus watch` shows of a look: a screen of lines, or one line."""

from __future__ import annotations

from collections.abc import Sequence

import click
from psycopg.rows import DictRow

from bridge.drawing import Glyphs, duration, per_second
from bridge.printing import visible
from bridge.watching import Look, Past, ended_tasks

#: Columns of a bar, where the terminal is wide enough for them, and at least.
BAR = (30, 8)

#: How many values the sparkline has: one for each two seconds.
SPARKS = 30

#: The states of stages in which something of them is still to come.
GOES_ON = ("filling", "provisional", "open")


def screen(look: Look, past: Past, glyphs: Glyphs, width: int, height: int) -> list[str]:
    """At most `height` lines of at most `width` characters: the job, its stages, its rate."""
    rates = past.rates(SPARKS)
    head = (
        f"job {look.job_id}  {look.job_type}  {look.status}  {duration(look.age.total_seconds())}"
    )
    # The rate of what ended just now says more than the average of a minute.
    tail = f"last minute  {glyphs.sparkline(rates)}  {per_second(rates[-1])}"
    coming = ["to come  " + ", ".join(map(_coming, look.coming))] if look.coming else []
    stages = _that_fit(look.stages, height - 2 - len(coming))
    left_out = len(look.stages) - len(stages)
    lines = [head, *_stage_lines(stages, past, glyphs, width)]
    if left_out:
        lines.append(f"… and {left_out} more stages")
    lines += coming
    return [visible(line)[:width].rstrip() for line in (*lines, tail)][:height]


def line(look: Look, past: Past) -> str:
    """The same for a log: the job, and each stage that goes on, or how many ended."""
    stages = [stage for stage in look.stages if stage["stage_status"] in GOES_ON]
    texts = [
        ", ".join(filter(None, (_name(stage), *_figures(stage, past), _notes(stage))))
        for stage in stages
    ] or [f"{len(look.stages)} stages have ended"]
    return visible(f"{duration(look.age.total_seconds())}  {look.status}: {'; '.join(texts)}")


class Redrawn:
    """Lines at one place of a terminal: each time over those of the time before."""

    def __init__(self) -> None:
        self._lines = 0

    def show(self, lines: Sequence[str]) -> None:
        """Overwrites, and erases what was longer."""
        up = f"\x1b[{self._lines}A" if self._lines else ""
        click.echo(up + "".join(f"\r{line}\x1b[K\n" for line in lines) + "\x1b[J", nl=False)
        self._lines = len(lines)

    def leave(self) -> None:
        """What is there stays; the next lines come below what others print."""
        self._lines = 0


def _that_fit(stages: Sequence[DictRow], room: int) -> Sequence[DictRow]:
    """All, or those that go on and as many of the last ones as there is room for."""
    if len(stages) <= room:
        return stages
    wanted = sorted(stages, key=lambda s: (s["stage_status"] not in GOES_ON, -s["stage"]))
    return sorted(wanted[: max(room - 1, 1)], key=lambda stage: stage["stage"])


def _stage_lines(stages: Sequence[DictRow], past: Past, glyphs: Glyphs, width: int) -> list[str]:
    """Aligned; the bars take what the texts leave."""
    if not stages:
        return ["  no stage yet"]
    cells = [(_name(stage), *_figures(stage, past), _notes(stage)) for stage in stages]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    room = width - sum(widths) - 2 * (len(widths) + 1)
    bar_width = min(BAR[0], max(BAR[1], room))
    lines = []
    for stage, texts in zip(stages, cells, strict=True):
        name, *figures, notes = (
            text.rjust(size) if 0 < number < len(texts) - 1 else text.ljust(size)
            for number, (text, size) in enumerate(zip(texts, widths, strict=True))
        )
        bar = glyphs.bar(ended_tasks(stage), stage["tasks"], bar_width)
        if stage["stage_status"] == "filling":
            bar = glyphs.bar(0, 1, bar_width)
        lines.append("  ".join((f"  {name}", bar, *figures, notes)))
    return lines


def _name(stage: DictRow) -> str:
    name = stage["name"] or stage["task_type"]
    group = f" {stage['group_value']}" if stage["group_value"] else ""
    return f"{stage['stage']} {name}{group}"[:24]


def _coming(stage: DictRow) -> str:
    """A stage of the plan that has not begun, and why not."""
    why = f"after {stage['waits_for']}" if stage["status"] == "waits" else stage["status"]
    return f"{stage['name']} ({why})"


def _figures(stage: DictRow, past: Past) -> tuple[str, str, str, str]:
    """Per cent, tasks, rate, time left; empty where there is nothing to say."""
    tasks = f"{ended_tasks(stage):,} of {stage['tasks']:,}"
    percent = "" if stage["percent"] is None else f"{stage['percent']} %"
    if stage["stage_status"] != "open":
        return percent, tasks, "", ""
    rate = past.rate(stage)
    left = past.seconds_left(stage)
    return (
        percent,
        tasks,
        "" if rate is None else per_second(rate),
        "" if left is None else f"{duration(left)} left",
    )


def _notes(stage: DictRow) -> str:
    """Its state, unless it is open, and what went wrong."""
    status = stage["stage_status"]
    return ", ".join(
        ([] if status == "open" else [status])
        + [f"{stage[what]:,} {what}" for what in ("failed", "cancelled") if stage[what]]
        + ([f"{stage['retry_wait']:,} to retry"] if stage["retry_wait"] else [])
    )
