"""Small plots as SVG, written by hand: bars of a ratio or a rate, and lines over two axes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from benchmarks.measure import Series

WIDTH = 560
BAR = 22
NAMES = 230
MARGIN = 60
COLOURS = ("#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed")

_STYLE = (
    "<style>text{font:12px system-ui,sans-serif;fill:#57606a}"
    ".axis{stroke:#8c959f;stroke-width:1}.grid{stroke:#8c959f33;stroke-width:1}</style>"
)


def bars(title: str, values: Mapping[str, float], unit: str) -> str:
    """A bar for each value, on a logarithmic scale, since peers differ by powers of ten."""
    logs = {name: math.log10(max(value, 1e-9)) for name, value in values.items()}
    least, most = math.floor(min(logs.values()) - 0.3), max(logs.values())
    room = WIDTH - NAMES - 110
    parts = [_text(0, 14, title)]
    for row, (name, value) in enumerate(values.items()):
        y = 28 + row * BAR
        length = max(2.0, room * (logs[name] - least) / max(most - least, 1e-9))
        parts += [
            _text(0, y + 14, name),
            f'<rect x="{NAMES}" y="{y + 3}" width="{length:.1f}" height="{BAR - 8}"'
            f' fill="{COLOURS[0]}"/>',
            _text(NAMES + length + 6, y + 14, f"{value:,.4g} {unit}".strip()),
        ]
    return _svg(WIDTH, 28 + len(values) * BAR + 6, parts)


def lines(title: str, series: Series) -> str:
    """Each of the lines; both axes logarithmic where the series is, else from zero."""
    height, bottom, right = 300, 250, WIDTH - 130
    points = [point for line in series.lines.values() for point in line]
    across = _Axis([x for x, _ in points], MARGIN, right, logarithmic=series.logarithmic)
    upward = _Axis([y for _, y in points], bottom, 40, logarithmic=series.logarithmic)
    parts = [_text(0, 14, title), _text(0, 32, series.y), _text(right - 40, height - 14, series.x)]
    for at in across.ticks:
        x = across.place(at)
        parts += [_line(x, 40, x, bottom, "grid"), _text(x - 10, bottom + 16, _tick(at))]
    for at in upward.ticks:
        y = upward.place(at)
        parts += [_line(MARGIN, y, right, y, "grid"), _text(0, y + 4, _tick(at))]
    parts += [
        _line(MARGIN, bottom, right, bottom, "axis"),
        _line(MARGIN, 40, MARGIN, bottom, "axis"),
    ]
    for number, (name, line) in enumerate(series.lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{across.place(x):.1f},{upward.place(y):.1f}" for x, y in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        key = 48 + number * 18
        parts += [
            f'<rect x="{right + 10}" y="{key}" width="10" height="10" fill="{colour}"/>',
            _text(right + 25, key + 10, name),
        ]
    return _svg(WIDTH, height, parts)


class _Axis:
    """Where a value is between two places, and which values are marked."""

    def __init__(
        self, values: Sequence[float], start: float, end: float, *, logarithmic: bool
    ) -> None:
        self._logarithmic = logarithmic and min(values) > 0
        self._start, self._end = start, end
        if self._logarithmic:
            self._least, self._most = math.log10(min(values)), math.log10(max(values))
            powers = range(math.ceil(self._least - 1e-9), math.floor(self._most + 1e-9) + 1)
            self.ticks = [10.0**power for power in powers] or [min(values), max(values)]
        else:
            self._least, self._most = 0.0, max(*values, 1e-9)
            self.ticks = [self._most * part / 4 for part in range(5)]

    def place(self, value: float) -> float:
        at = math.log10(value) if self._logarithmic else value
        part = (at - self._least) / max(self._most - self._least, 1e-9)
        return self._start + part * (self._end - self._start)


def _tick(value: float) -> str:
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _text(x: float, y: float, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _svg(width: int, height: int, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"'
        f' height="{height}">{_STYLE}\n' + "\n".join(parts) + "\n</svg>\n"
    )
