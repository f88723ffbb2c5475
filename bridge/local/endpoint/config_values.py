"""Reading values of a configuration file: each problem is noted with its place, none raised."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from bridge.local.endpoint.jsonc import Node

_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?", re.ASCII)


@dataclass
class Reading:
    problems: list[tuple[int, int, str]] = field(default_factory=list)

    def wrong(self, node: Node, path: str, problem: str) -> None:
        self.problems.append((node.line, node.column, f"{path}: {problem}"))


Read = Callable[[Reading, Node, str], Any]


def read_object(
    reading: Reading,
    node: Node,
    path: str,
    keys: Mapping[str, Read],
    *,
    required: tuple[str, ...] = (),
) -> dict[str, Any]:
    if not isinstance(node.value, dict):
        reading.wrong(node, path or "the document", "an object was expected")
        return {}
    found = {}
    for name, value in node.value.items():
        where = f"{path}.{name}" if path else name
        if name in keys:
            found[name] = keys[name](reading, value, where)
            continue
        near = get_close_matches(name, keys, n=1, cutoff=0.6)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(keys))}"
        reading.wrong(value, where, f"the key is not known; {hint}")
    for name in required:
        if name not in node.value:
            reading.wrong(node, path or "the document", f"the key {name!r} is missing")
    return found


def read_array(reading: Reading, node: Node, path: str) -> list[Node]:
    if isinstance(node.value, list):
        return node.value
    reading.wrong(node, path, "an array was expected")
    return []


def ignore(reading: Reading, node: Node, path: str) -> None:
    """Where the emulator logs to is no matter here."""


def read_text(reading: Reading, node: Node, path: str) -> str | None:
    if isinstance(node.value, str):
        return node.value
    reading.wrong(node, path, f"{node.value!r} is not a string")
    return None


def read_flag(reading: Reading, node: Node, path: str) -> bool | None:
    if isinstance(node.value, bool):
        return node.value
    reading.wrong(node, path, f"{node.value!r} is neither true nor false")
    return None


def refuse(why: str) -> Read:
    def read(reading: Reading, node: Node, path: str) -> None:
        if node.value not in (False, "", None):
            reading.wrong(node, path, f"{node.value!r}: {why}")

    return read


def read_count(reading: Reading, node: Node, path: str) -> int | None:
    value = node.value
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 2000:
        return value
    reading.wrong(node, path, f"{value!r} is not a whole number from 1 to 2000")
    return None


def duration(least: float, most: float) -> Read:
    def read(reading: Reading, node: Node, path: str) -> float | None:
        found = _DURATION.fullmatch(node.value) if isinstance(node.value, str) else None
        if found is None or not any(found.groups()):
            reading.wrong(
                node, path, f"{node.value!r} is not a duration of ISO 8601, such as PT1M30S"
            )
            return None
        days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
        length = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
        if least <= length <= most:
            return length
        reading.wrong(
            node,
            path,
            f"{node.value!r} is {length:g} seconds; the emulator takes {least:g} to {most:g}",
        )
        return None

    return read
