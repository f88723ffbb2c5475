"""The fault run in small: everything is completed once, and the log of what happened is there."""

from __future__ import annotations

import json
from pathlib import Path

from tests.faults.run import Plan, run
from tests.faults.script import KINDS, faults


def test_everything_is_completed_once_whatever_goes_wrong(tmp_path: Path) -> None:
    said: list[str] = []
    folder = tmp_path / "run"
    verdict = run(Plan(20_000, seconds=25, restarts=2, seed=7, folder=folder), said.append)
    assert verdict.good, "\n".join([*said, json.dumps(verdict.as_json(), indent=2)])
    assert verdict.tasks == 20_000
    # The run did disturb: without that it proves nothing.
    assert len(verdict.faults) >= len(KINDS) - 2
    assert sum(verdict.faults.values()) >= 10
    assert sum(verdict.sends.get(outcome, 0) for outcome in ("unknown", "rejected")) > 0
    events = [json.loads(line) for line in (folder / "timeline.log").read_text().splitlines()]
    assert [event["at"] for event in events] == sorted(event["at"] for event in events)
    assert {"run", "bridge-1", "bridge-2", "worker-1"} <= {event["from"] for event in events}
    assert sum(event["event"] == "postgres.started" for event in events) == 2


def test_the_same_seed_draws_the_same_faults() -> None:
    one, same, other = (
        [next(script)["name"] for _ in range(40)] for script in map(faults, (3, 3, 4))
    )
    assert one == same
    assert one != other
    assert len(set(one)) == 40
