"""The one figure that no machine changes: what is written to mark a batch queued."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from benchmarks import mark_queued


def test_a_batch_is_marked_queued_without_a_write_to_its_tasks(tmp_path: Path) -> None:
    results = tmp_path / "bench.json"
    done = CliRunner().invoke(
        mark_queued.main, ["--tasks", "2000", "--results", str(results)], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    figures = json.loads(results.read_text())["mark_queued"]["figures"]
    sends = figures["sends_of_the_batch"]["value"]
    assert sends > 1
    assert figures["task_rows_written_to_mark_queued"]["value"] == 0
    assert figures["rows_written_to_mark_queued"]["value"] <= 2 * sends + 2
