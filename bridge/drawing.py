"""Bars, sparklines and durations as text: nothing here knows a database or a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Glyphs:
    """What is drawn with: how full a cell of a bar is, and how high a value of a sparkline."""

    cells: str
    """From empty to full."""
    levels: str
    """From nothing at all to the highest."""

    def bar(self, done: int, total: int, width: int) -> str:
        """How much of the total is done; full only when all is, and all of nothing is done."""
        steps = len(self.cells) - 1
        filled = width * steps if done >= total else max(done, 0) * width * steps // total
        whole, part = divmod(filled, steps)
        text = self.cells[-1] * whole + (self.cells[part] if part else "")
        return text + self.cells[0] * (width - len(text))

    def sparkline(self, values: Sequence[float]) -> str:
        """A character per value, the highest one at the top; nothing else is as low as nothing."""
        top = len(self.levels) - 1
        most = max(values, default=0.0)
        return "".join(
            self.levels[0 if value <= 0 else max(1, round(value / most * top))] for value in values
        )


UNICODE = Glyphs("░▏▎▍▌▋▊▉█", "▁▂▃▄▅▆▇█")
ASCII = Glyphs(".#", "_.-=+*#@")


def glyphs_for(encoding: str | None) -> Glyphs:
    """The better ones, where whoever reads the output can be told of them."""
    try:
        (UNICODE.cells + UNICODE.levels).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return UNICODE


def duration(seconds: float) -> str:
    """Seconds up to a minute, then minutes:seconds, hours:minutes:seconds, days as well."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, second = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}:{second:02}"
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    clock = f"{hour}:{minute:02}:{second:02}"
    return f"{days} d {clock}" if days else clock


def per_second(rate: float) -> str:
    """A rate with as many digits as say something."""
    return f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s"
