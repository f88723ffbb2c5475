"""The soak's throttling in small."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.throttling import run_throttling


@pytest.mark.starts_first
def test_a_throttling_spends_nothing_and_soon_after_its_end_all_goes_on_as_before(
    tmp_path: Path,
) -> None:
    report = run_throttling(tmp_path, seconds=6)
    assert report.good, report
