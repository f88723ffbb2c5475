"""The soak's stops in small."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.stops import run_stops


@pytest.mark.starts_first
def test_a_bridge_that_is_told_to_stop_at_any_moment_exits_with_0_and_loses_nothing(
    tmp_path: Path,
) -> None:
    report = run_stops(tmp_path, stops=10, seed=344)
    assert report.good, report
    assert len(report.moments) >= 3, report
