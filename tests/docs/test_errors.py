"""docs/errors.md and sql/ speak of the same errors."""

from __future__ import annotations

import re
from pathlib import Path

from bridge.migrate import code_script

PAGE = Path(__file__).resolve().parents[2] / "docs" / "errors.md"


def test_every_code_that_is_raised_is_documented_and_no_other() -> None:
    raised = set(re.findall(r"'(SB\d{3})'", code_script()))
    documented = re.findall(r"^\| `(SB\d{3})` \|", PAGE.read_text("utf-8"), re.MULTILINE)
    assert sorted(raised) == documented
