"""docs/runbook.md as an operator reads it: what there is to see, and what to type."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "runbook.md"

_SECTION = re.compile(r"^## (\d+)\. (.*?)\n(.*?)(?=^## |\Z)", re.DOTALL | re.MULTILINE)
_BLOCK = re.compile(r"^```(sql|sh)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_SEEN = re.compile(r"^\*\*You see\*\*(.*?)\n\n", re.DOTALL | re.MULTILINE)

#: Who is asked, and not what it answers.
_ASKED = {"why_stuck", "doctor", "stagebus doctor"}


@dataclass(frozen=True)
class Section:
    """One trouble. What is seen has a pattern for each piece, and a list for each `or` of them."""

    title: str
    text: str

    @property
    def seen(self) -> list[list[re.Pattern[str]]]:
        (said,) = _SEEN.findall(self.text)
        return [
            [
                re.compile(".*".join(map(re.escape, words.split("…"))), re.MULTILINE)
                for quoted in re.findall(r"`(.*?)`", either, re.DOTALL)
                if (words := " ".join(quoted.split())) not in _ASKED
            ]
            for either in said.split("; or ")
        ]

    @property
    def typed(self) -> list[tuple[str, str]]:
        """The blocks, in order: `sql` or `sh`, and the text."""
        return _BLOCK.findall(self.text)


@cache
def sections() -> dict[int, Section]:
    text = PAGE.read_text("utf-8")
    return {int(number): Section(title, body) for number, title, body in _SECTION.findall(text)}


@cache
def beginning() -> tuple[str, str, str]:
    """What is asked of the whole system, what of a job, and what an administrator types."""
    head = PAGE.read_text("utf-8").split("\n## ")[0]
    asked, granted = (block for _, block in _BLOCK.findall(head))
    doctor, why = asked.splitlines()
    return doctor, why, granted
