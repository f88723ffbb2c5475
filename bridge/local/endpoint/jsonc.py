"""JSON with comments, each value with the place where it stands: for files that people write."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

Value: TypeAlias = "dict[str, Node] | list[Node] | str | int | float | bool | None"

_SKIPPED = re.compile(r"(?:\s+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_SCALAR = re.compile(r'"(?:[^"\\\n]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null')
#: What this reader takes; a file that people write is not nested deeper.
_DEEPEST = 64


@dataclass(frozen=True, slots=True)
class Node:
    """A value, and the line and column (from 1) where it begins."""

    value: Value
    line: int
    column: int


class Unreadable(Exception):
    """The text is not JSON with comments; begins with `line:column`."""


def parse(text: str) -> Node:
    """The document as nodes. `//` and `/* */` are comments; a comma before an end is allowed.

    Raises Unreadable.
    """
    reader = _Reader(text)
    node = reader.value(0)
    reader.skip()
    if reader.at < len(text):
        raise reader.unreadable("the document has ended here, but more follows")
    return node


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def skip(self) -> None:
        found = _SKIPPED.match(self.text, self.at)
        assert found is not None
        self.at = found.end()

    def place(self) -> tuple[int, int]:
        before = self.text[: self.at]
        return before.count("\n") + 1, self.at - (before.rfind("\n") + 1) + 1

    def unreadable(self, problem: str) -> Unreadable:
        line, column = self.place()
        return Unreadable(f"{line}:{column}: {problem}")

    def takes(self, character: str) -> bool:
        self.skip()
        if not self.text.startswith(character, self.at):
            return False
        self.at += 1
        return True

    def value(self, depth: int) -> Node:
        self.skip()
        line, column = self.place()
        if depth > _DEEPEST:
            raise self.unreadable(f"values are nested more than {_DEEPEST} deep")
        if self.takes("{"):
            return Node(dict(self.entries(depth)), line, column)
        if self.takes("["):
            return Node(list(self.items(depth)), line, column)
        return Node(self.scalar(), line, column)

    def scalar(self) -> str | int | float | bool | None:
        found = _SCALAR.match(self.text, self.at)
        if found is None:
            raise self.unreadable("a value was expected")
        try:
            value: str | int | float | bool | None = json.loads(found[0])
        except ValueError as error:
            raise self.unreadable(f"this is not JSON: {error}") from None
        self.at = found.end()
        return value

    def entries(self, depth: int) -> Iterator[tuple[str, Node]]:
        known: set[str] = set()
        while not self.takes("}"):
            start = self.at
            name = self.scalar()
            if not isinstance(name, str) or name in known:
                self.at = start
                raise self.unreadable(
                    f"the key {name!r} is there twice" if name in known else "a key was expected"
                )
            known.add(name)
            if not self.takes(":"):
                raise self.unreadable(f"a colon was expected after the key {name!r}")
            yield name, self.value(depth + 1)
            if not self.takes(","):
                if not self.takes("}"):
                    raise self.unreadable("a comma or the end of the object was expected")
                return

    def items(self, depth: int) -> Iterator[Node]:
        while not self.takes("]"):
            yield self.value(depth + 1)
            if not self.takes(","):
                if not self.takes("]"):
                    raise self.unreadable("a comma or the end of the array was expected")
                return
