"""The demo in small: places to hexagons to totals, on the real parts, undisturbed and disturbed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bridge.local.demo.controller import PLAN
from bridge.local.demo.places import Place, load_places
from bridge.local.demo.run import run_demo
from bridge.local.demo.work import direct_totals
from tests.client import Client
from tests.conftest import CALLER


@pytest.fixture(scope="module")
def places() -> list[Place]:
    return load_places(15000)


def test_two_statements_of_a_producer_define_the_demo_s_plan(
    client: Client, caller: Client
) -> None:
    client.execute(f"create schema demo authorization {CALLER}")
    client.set_task_type("hexagon_total")
    caller.execute(
        "create table demo.place as select 7 as geoname_id, 1.5 as latitude, 2.5 as longitude,"
        " 9 as population from generate_series(1, 3)"
    )
    answers = caller.connection.execute(PLAN.read_bytes())
    assert [answers.statusmessage, answers.nextset(), answers.statusmessage] == [
        "DO",
        True,
        "SELECT 1",
    ]
    assert answers.nextset() is None
    job_id = caller.submit_job("demo")
    assert caller.advance_job(job_id).note == "hexagons: 3 tasks"
    client.end_stage_of(job_id, 1, failing=1)
    assert caller.advance_job(job_id).job_status == "running"
    client.order("retry_tasks", job_id, 1)
    client.work_orders()
    assert client.stage(job_id).status == "open"


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


@pytest.mark.starts_first
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


@pytest.mark.starts_first
def test_the_result_is_the_same_when_attempts_fail_and_workers_die_and_an_operator_retries(
    places: list[Place], tmp_path: Path
) -> None:
    phases: list[str] = []
    report, totals = run_demo(
        places[:3000],
        tmp_path,
        lambda phase, progress: phases.append(phase),
        retries=True,
    )
    assert report.good
    assert totals == direct_totals(places[:3000])
    assert report.workers_killed == 2
    assert report.retried > 0
    # One attempt in ten failed, and each failure and each lost worker made another attempt.
    assert report.attempts > report.tasks * 1.05
    assert report.accepted - report.duplicates_dropped == report.attempts
    assert any("dry run" in phase and "the stage reopens" in phase for phase in phases)
