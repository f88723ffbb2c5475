"""The demo in small: places to hexagons to totals, on the real parts, undisturbed and disturbed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bridge.local.demo.places import Place, load_places
from bridge.local.demo.run import run_demo
from bridge.local.demo.work import direct_totals


@pytest.fixture(scope="module")
def places() -> list[Place]:
    return load_places(15000)


def test_the_demo_loses_nothing_and_does_nothing_twice(places: list[Place], tmp_path: Path) -> None:
    some = places[:2000]
    report, totals = run_demo(some, tmp_path, lambda phase, progress: None)
    assert report.good
    assert report.tasks == 2000 + len(totals)
    assert report.accepted == report.tasks
    assert report.completed == report.tasks
    assert totals == direct_totals(some)
    assert report.duplicates_dropped == 0
    assert json.loads((tmp_path / "demo.json").read_text("utf-8")) == report.as_json()


def test_the_demo_survives_the_death_of_its_bridge_in_the_middle(
    places: list[Place], tmp_path: Path
) -> None:
    phases: list[str] = []
    report, _ = run_demo(
        places[:24_000],
        tmp_path,
        lambda phase, progress: phases.append(phase),
        kill_bridge=True,
    )
    assert any("killing the bridge" in phase for phase in phases)
    assert report.lost == 0
    assert report.duplicates == 0
    assert report.done_twice == 0
    assert report.result_matches
    assert report.good
