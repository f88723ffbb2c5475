"""Two minutes of chaos: whatever goes wrong, all is done once, and the log of it is there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.faults.kinds import all_kinds
from tests.faults.members import faketime_library
from tests.faults.run import Plan, run


@pytest.mark.starts_first
def test_two_minutes_of_chaos(tmp_path: Path) -> None:
    said: list[str] = []
    folder = tmp_path / "run"
    verdict = run(Plan(minutes=2, seed=7, folder=folder, rate=150, pace=1.5), said.append)
    assert verdict.good, "\n".join([*said, json.dumps(verdict.as_json(), indent=2)])
    # It did disturb: without that it proves nothing.
    assert set(verdict.faults_by_kind) == set(all_kinds(clocks=faketime_library() is not None))
    assert verdict.committed >= 5_000
    assert verdict.attempted > verdict.committed
    events = [json.loads(line) for line in (folder / "timeline.log").read_text().splitlines()]
    assert [event["at"] for event in events] == sorted(event["at"] for event in events)
    assert {"run", "bridge-1", "bridge-2", "bridge-3"} <= {event["from"] for event in events}
