"""What docs/local-endpoint.md says of faults is so: its examples run, its tables agree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bridge.local.endpoint.faults.fault import ACTIONS, ALLOWED, OPERATIONS, Fault
from bridge.local.endpoint.faults.reading import read_text
from tests.local_endpoint.faults import test_attaching, test_receiving, test_sending
from tests.local_endpoint.faults.conftest import HANGS, LOSES_CONNECTIONS

pytestmark = LOSES_CONNECTIONS

PAGE = Path(__file__).parents[3] / "docs" / "local-endpoint.md"
SECTION = PAGE.read_text(encoding="utf-8").split("## Scripted faults\n", 1)[1].split("\n## ")[0]

SEEN = [
    *(("Sends", "", action, becomes) for action, _, becomes, _ in test_sending.CASES),
    *(("Beginnings", on, action, becomes) for on, action, _, becomes in test_attaching.CASES),
    *(("Settling", "", action, becomes) for action, _, becomes, _ in test_receiving.SETTLEMENTS),
]


def block(language: str) -> str:
    """The first example in a language."""
    found = re.search(rf"^```{language}\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def test_the_example_of_a_file_is_one() -> None:
    assert [fault.name for fault in read_text(block("json").encode())] == [
        "one-in-ten",
        "third-lost",
    ]


def test_the_example_of_a_test_passes() -> None:
    names: dict[str, object] = {}
    exec(compile(block("python"), PAGE, "exec"), names)
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert len(tests) == 1
    assert callable(tests[0])
    tests[0]()


@pytest.mark.parametrize(("part", "on", "action", "becomes"), SEEN)
def test_the_tables_say_what_was_seen(part: str, on: str, action: str, becomes: str) -> None:
    table = SECTION.split(f"\n{part} (", 1)[1].split("|\n\n", 1)[0]
    rows = [line for line in table.splitlines() if line.startswith(f"| `{on}")]
    rows = [line for line in rows if f"`{action}`" in line.split(" | ")[1 if on else 0]]
    said = {HANGS: "hangs", "ok": "late|returns"}.get(becomes, f"`{becomes}`")
    assert rows
    assert any(re.search(said, line) for line in rows), rows


def test_every_field_operation_and_action_is_described() -> None:
    for name in (*Fault.model_fields, *OPERATIONS, *ACTIONS):
        assert f"`{name}`" in SECTION
    assert {on for operations in ALLOWED.values() for on in operations} == set(OPERATIONS)
