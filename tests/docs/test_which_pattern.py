"""Each test that docs/which-pattern.md names for a case is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.findall(
    r"`(tests/[\w/]+\.py)::(test_\w+)`", (ROOT / "docs/which-pattern.md").read_text()
)


def test_the_tests_of_the_page_are_there() -> None:
    assert len(NAMED) > 20
    missing = [
        f"{path}::{name}"
        for path, name in NAMED
        if f"def {name}(" not in (ROOT / path).read_text("utf-8")
    ]
    assert missing == []
