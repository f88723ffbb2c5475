"""The flood report: b and c beside each other, b with failures, c skipped; d of what is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from examples.diamond.worker import REACHES, level_of, work
from tests.client import Client
from tests.examples.conftest import names, results, run_job, work_off

Define = Callable[[str], Client]

ON = {reach: [f"g{n:02}" for n in range(1, 41) if REACHES[n % 4] == reach] for reach in REACHES}


def report_of(reach: str, silent: list[str], rain: int | None) -> dict[str, Any]:
    answering = [station for station in ON[reach] if station not in silent]
    return {
        "reach": reach,
        "highest_cm": max(map(level_of, answering), default=None),
        "stations": len(answering),
        "silent": [station for station in ON[reach] if station in silent],
        "rain_mm": rain,
    }


def reports(silent: list[str], rain: int | None) -> list[dict[str, Any]]:
    return [report_of(reach, silent, rain) for reach in sorted(REACHES)]


def test_a_tolerated_failure_and_a_skipped_stage_leave_a_report_of_what_is_there(
    client: Client, define: Define
) -> None:
    team = define("diamond")
    silent = ["g06", "g07"]
    job_id = team.submit_job("flood_report", {"quick": True, "silent": silent})
    assert run_job(client, team, job_id, work) == [
        "stations: 1 tasks",
        "levels: 40 tasks, forecast: skipped",
        "report: 4 tasks",
    ]
    assert client.plan_progress(job_id) == {
        "stations": "completed",
        "levels": "completed_with_errors",
        "forecast": "skipped",
        "report": "completed",
    }
    assert client.job(job_id).status == "completed_with_errors"
    assert results(team, job_id, "report") == reports(silent, None)
    named = [row["silent"] for row in results(team, job_id, "report")]
    assert named == [["g06"], ["g07"], [], []]


def test_with_nothing_missing_the_report_has_levels_and_rain(
    client: Client, define: Define
) -> None:
    team = define("diamond")
    job_id = team.submit_job("flood_report", {"days": 3})
    assert run_job(client, team, job_id, work)[1] == "levels: 40 tasks, forecast: 3 tasks"
    assert client.job(job_id).status == "completed"
    assert results(team, job_id, "report") == reports([], 3 + 6 + 9)


def test_a_reach_of_which_no_station_answers_is_reported_too(
    client: Client, define: Define
) -> None:
    team = define("diamond")
    silent = ON["mouth"]
    job_id = team.submit_job("flood_report", {"days": 1, "silent": silent})
    run_job(client, team, job_id, work)
    assert client.job(job_id).status == "failed"
    client.order("set_stage", job_id, 2, tolerated_failures="25%")
    assert run_job(client, team, job_id, work) == ["report: 4 tasks"]
    assert results(team, job_id, "report") == reports(silent, 3)
    assert client.job(job_id).status == "completed_with_errors"


def test_one_failure_too_many_fails_the_job_and_no_report_is_made(
    client: Client, define: Define
) -> None:
    team = define("diamond")
    job_id = team.submit_job("flood_report", {"days": 2, "silent": ["g07", "g08", "g09"]})
    run_job(client, team, job_id, work)
    assert client.plan_progress(job_id) == {
        "stations": "completed",
        "levels": "failed",
        "forecast": "completed",
        "report": "never began",
    }
    assert client.job(job_id).status == "failed"


@pytest.mark.parametrize("last", ["levels", "forecast"])
def test_the_report_waits_for_both_sides(client: Client, define: Define, last: str) -> None:
    team = define("diamond")
    job_id = team.submit_job("flood_report", {"days": 2})
    team.advance_job(job_id)
    work_off(client, work)
    team.advance_job(job_id)
    first, then = (3, 2) if last == "levels" else (2, 3)
    client.end_stage_of(job_id, first)
    assert team.advance_job(job_id).stages == 0
    assert client.plan_progress(job_id)["report"] == "waits"
    client.end_stage_of(job_id, then)
    # The results have nothing of what the report looks for.
    assert team.advance_job(job_id).note == "report: 4 tasks"


def test_the_plan_tells_what_the_parameters_decide(client: Client, define: Define) -> None:
    team = define("diamond")

    def forecast(parameters: dict[str, Any]) -> tuple[Any, ...]:
        rows = team.explain_plan("flood_report", parameters)
        assert names(rows) == ["stations", "levels", "forecast", "report"]
        return rows[2].tasks, rows[2].skipped, rows[2].note

    assert forecast({"days": 5}) == (5, False, None)
    assert forecast({"days": 5, "quick": True}) == (0, True, None)
    assert forecast({"quick": True}) == (0, True, None)
    assert forecast({}) == (None, False, "the count of stage forecast is not there")
