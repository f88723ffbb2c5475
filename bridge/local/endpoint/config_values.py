"""Reading values of a configuration file: each problem is noted with its place, none is raised.

A reader takes a node and the path of its key, and gives the value, or None with a problem noted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from bridge.local.endpoint.jsonc import Node

# What the emulator's JSON schema has for durations: whole numbers, and seconds the least of them.
_DURATION = re.compile(
    r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)D)?(?:T(?=\d)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?", re.ASCII
)
_SECONDS = (365 * 86_400, 30 * 86_400, 86_400, 3_600, 60, 1)


@dataclass
class Reading:
    """What a file has been found to say that it should not; `notes` are no errors.

    ignore_rules: whether filters are passed over, which is noted.
    """

    ignore_rules: bool = False
    problems: list[tuple[int, int, str]] = field(default_factory=list)
    notes: list[tuple[int, int, str]] = field(default_factory=list)

    def wrong(self, node: Node, path: str, problem: str) -> None:
        """Something is wrong with the value `node` of the key `path`."""
        self.problems.append((node.line, node.column, f"{path or 'the document'}: {problem}"))

    def note(self, node: Node, path: str, remark: str) -> None:
        """Something should be known of it."""
        self.notes.append((node.line, node.column, f"{path}: {remark}"))


Read = Callable[[Reading, Node, str], Any]


def shown(node: Node) -> str:
    """The value as a problem names it."""
    if isinstance(node.value, dict):
        return "an object"
    if isinstance(node.value, list):
        return "an array"
    if isinstance(node.value, str):
        return repr(node.value)
    return json.dumps(node.value)


def read_object(
    reading: Reading,
    node: Node,
    path: str,
    keys: Mapping[str, Read],
    *,
    required: tuple[str, ...] = (),
) -> dict[str, Any]:
    """What the readers of `keys` make of the values; a key that is not among them is a problem."""
    if not isinstance(node.value, dict):
        reading.wrong(node, path, f"{shown(node)}: an object was expected")
        return {}
    found = {}
    lower = {name.lower(): name for name in keys}
    for name, value in node.value.items():
        where = f"{path}.{name}" if path else name
        if name in keys:
            found[name] = keys[name](reading, value, where)
            continue
        near = get_close_matches(name.lower(), lower, n=1, cutoff=0.6)
        hint = f"did you mean {lower[near[0]]!r}?" if near else f"known are {', '.join(keys)}"
        reading.wrong(value, where, f"the key is not known; {hint}")
    for name in required:
        if name not in node.value:
            reading.wrong(node, path, f"the key {name!r} is missing")
    return found


def read_array(reading: Reading, node: Node, path: str) -> list[Node]:
    """The items; none with a problem."""
    if isinstance(node.value, list):
        return node.value
    reading.wrong(node, path, f"{shown(node)}: an array was expected")
    return []


def ignore(reading: Reading, node: Node, path: str) -> None:
    """What is of no matter here."""


def read_text(reading: Reading, node: Node, path: str) -> str | None:
    """A string."""
    if isinstance(node.value, str):
        return node.value
    reading.wrong(node, path, f"{shown(node)} is not a string")
    return None


def read_flag(reading: Reading, node: Node, path: str) -> bool | None:
    """True or false."""
    if isinstance(node.value, bool):
        return node.value
    reading.wrong(node, path, f"{shown(node)} is neither true nor false")
    return None


def refuse(why: str, *, unless: object) -> Read:
    """A reader of what is not built; only `unless` is taken."""

    def read(reading: Reading, node: Node, path: str) -> None:
        if node.value is not None and node.value != unless:
            reading.wrong(node, path, f"{shown(node)}: {why}")

    return read


def whole_number(least: int, most: int, otherwise: str) -> Read:
    """A reader of a number in these limits of the emulator; otherwise: the way round them."""

    def read(reading: Reading, node: Node, path: str) -> int | None:
        value = node.value
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        reading.wrong(
            node,
            path,
            f"{shown(node)}: the emulator takes a whole number from {least} to {most}{otherwise}",
        )
        return None

    return read


def duration(least: str, most: str, otherwise: str) -> Read:
    """A reader of an ISO 8601 duration in these limits of the emulator; it gives seconds."""

    def read(reading: Reading, node: Node, path: str) -> int | None:
        length = seconds(node.value) if isinstance(node.value, str) else None
        if length is None:
            reading.wrong(
                node, path, f"{shown(node)} is not a duration of ISO 8601, such as 'PT1M30S'"
            )
        elif (seconds(least) or 0) <= length <= (seconds(most) or 0):
            return length
        else:
            reading.wrong(
                node,
                path,
                f"{shown(node)} is {length} seconds; the emulator takes {least} to {most}"
                f"{otherwise}",
            )
        return None

    return read


def seconds(text: str) -> int | None:
    """The length of an ISO 8601 duration; None if it is none. A month has 30 days."""
    found = _DURATION.fullmatch(text)
    if found is None or not any(found.groups()):
        return None
    return sum(int(part or 0) * each for part, each in zip(found.groups(), _SECONDS, strict=True))
