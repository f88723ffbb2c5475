"""The tile pyramid: every level from the level below, and the figures as computed directly."""

from __future__ import annotations

from collections.abc import Callable
from math import atan, cos, exp, log, pi, radians, sin, tan
from typing import Any

import pytest

from bridge.task_calls import TaskFailed
from bridge.worker import Outcome, StartedTask
from examples.tile_pyramid.worker import RADIUS, work
from tests.client import Client
from tests.conftest import CALLER
from tests.examples.conftest import results, run_job, work_off

ALPS = [5.5, 43.5, 16.5, 48.5]

LEVELS = ["zoom_8", "zoom_7", "zoom_6", "zoom_5", "zoom_4"]

Define = Callable[[str], Client]
Tile = tuple[int, int, int]


def tile_at(longitude: float, latitude: float, zoom: int) -> Tile:
    """By the formula of web maps, written another way than in the plan."""
    angle = log(tan(radians(latitude)) + 1 / cos(radians(latitude)))
    side = 2**zoom
    return zoom, int((longitude + 180) / 360 * side), int((1 - angle / pi) / 2 * side)


def ground_of(tile: Tile) -> float:
    """The ground of a tile in m²: latitudes by the Gudermannian function."""
    zoom, _, y = tile
    side = 2**zoom

    def latitude(y: int) -> float:
        return 2 * atan(exp(pi * (1 - 2 * y / side))) - pi / 2

    return RADIUS**2 * 2 * pi / side * (sin(latitude(y)) - sin(latitude(y + 1)))


def base_under(tops: set[Tile]) -> set[Tile]:
    """The tiles of zoom 8 of which one of these is the ancestor."""
    return {(8, x, y) for x in range(256) for y in range(256) if (4, x // 16, y // 16) in tops}


def tops_of(box: list[float]) -> set[Tile]:
    west, south, east, north = box
    _, left, top = tile_at(west, north, 4)
    _, right, bottom = tile_at(east, south, 4)
    return {(4, x, y) for x in range(left, right + 1) for y in range(top, bottom + 1)}


def tile_of(result: dict[str, int]) -> Tile:
    return result["z"], result["x"], result["y"]


@pytest.mark.parametrize(
    "box", [ALPS, [-0.2, 51.3, 0.3, 51.7]], ids=["the Alps", "London, on the meridian"]
)
def test_the_pyramid_is_what_a_direct_computation_gives(
    client: Client, define: Define, box: list[float]
) -> None:
    team = define("tile_pyramid")
    job_id = team.submit_job("tile_pyramid", {"box": box})
    notes = run_job(client, team, job_id, work)
    assert client.job(job_id).status == "completed"

    tops = tops_of(box)
    base = base_under(tops)
    assert notes == [f"{name}: {len(base) // 4**up} tasks" for up, name in enumerate(LEVELS)] + [
        "clean_up: 1 tasks"
    ]
    for up, name in enumerate(LEVELS):
        found = {tile_of(result): result for result in results(team, job_id, name)}
        below: dict[Tile, list[Tile]] = {}
        for zoom, x, y in base:
            below.setdefault((zoom - up, x >> up, y >> up), []).append((zoom, x, y))
        assert set(found) == set(below)
        for tile, result in found.items():
            assert result["tiles"] == len(below[tile]) == 4**up
            assert result["ground"] == sum(round(ground_of(each)) for each in below[tile])
            # And the whole is the sum of its parts: a tile has its four children and no others.
            assert result["ground"] == pytest.approx(ground_of(tile), abs=4**up)
    assert len(tops) == (1 if box == ALPS else 2)


def test_the_tiles_of_a_place_are_where_the_formula_has_them(
    client: Client, define: Define
) -> None:
    define("tile_pyramid")
    for longitude, latitude in [(0, 0.001), (-179.99, 85), (179.99, -85), (7.66, 45.98)]:
        for zoom in (0, 4, 8):
            row = client.row(
                "select %s::int as z, pyramid.tile_x(%s, %s) as x, pyramid.tile_y(%s, %s) as y",
                zoom, longitude, zoom, latitude, zoom,
            )  # fmt: skip
            assert tuple(row) == tile_at(longitude, latitude, zoom)
    # Beyond the edge of web maps: the tiles at the edge.
    assert client.value("select pyramid.tile_y(90, 4)") == 0
    assert client.value("select pyramid.tile_y(-90, 4)") == 15
    assert client.value("select pyramid.tile_x(180, 4)") == 15


def test_each_task_above_the_base_has_its_four_children(client: Client, define: Define) -> None:
    team = define("tile_pyramid")
    job_id = team.submit_job("tile_pyramid", {"box": ALPS})
    team.advance_job(job_id)
    work_off(client, work)
    team.advance_job(job_id)
    for parameters in client.column(
        "select parameters from stagebus_data.tasks where job_id = %s and stage = 2", job_id
    ):
        z, x, y = tile_of(parameters)
        assert [tile_of(child) for child in parameters["children"]] == [
            (z + 1, 2 * x, 2 * y),
            (z + 1, 2 * x + 1, 2 * y),
            (z + 1, 2 * x, 2 * y + 1),
            (z + 1, 2 * x + 1, 2 * y + 1),
        ]


def test_a_tile_that_fails_keeps_the_levels_above_waiting_until_it_is_rendered(
    client: Client, define: Define
) -> None:
    def all_but_one(tasks: list[StartedTask]) -> list[Outcome]:
        outcomes = work(tasks)
        return [TaskFailed("no ground", retry=False), *outcomes[1:]]

    team = define("tile_pyramid")
    job_id = team.submit_job("tile_pyramid", {"box": ALPS})
    assert run_job(client, team, job_id, all_but_one) == ["zoom_8: 256 tasks"]
    assert client.job(job_id).status == "running"
    assert client.plan_progress(job_id) == {
        "zoom_8": "failed",
        **dict.fromkeys([*LEVELS[1:], "clean_up"], "waits"),
    }
    client.order("retry_tasks", job_id, 1)
    client.work_orders()
    client.maintain()
    work_off(client, work)
    assert run_job(client, team, job_id, work)[0] == "zoom_7: 64 tasks"
    assert client.job(job_id).status == "completed"
    (top,) = results(team, job_id, "zoom_4")
    assert top["tiles"] == 256


def test_a_job_that_is_cancelled_cleans_up(client: Client, define: Define) -> None:
    team = define("tile_pyramid")
    job_id = team.submit_job("tile_pyramid", {"box": ALPS})
    team.advance_job(job_id)
    client.order("cancel_job", job_id)
    client.work_orders()
    assert run_job(client, team, job_id, work) == ["clean_up: 1 tasks"]
    assert client.job(job_id).status == "cancelled"


def test_a_job_without_a_box_says_what_it_lacks(client: Client, define: Define) -> None:
    team = define("tile_pyramid")
    for parameters in ({}, {"box": None}, {"box": [1, 2, 3]}):
        job_id = team.submit_job("tile_pyramid", parameters)
        assert team.advance_job(job_id).status == "failed"
        job: Any = client.job(job_id)
        assert job.why == "stage zoom_8 cannot be made from pyramid.base_tiles"
        assert job.error.startswith("P0001: the job has no box\nSubmit it with")


def test_the_plan_is_explained_and_may_be_run_again(client: Client, define: Define) -> None:
    team = define("tile_pyramid")
    rows = team.explain_plan("tile_pyramid", {"box": ALPS})
    assert [(row.name, row.waits_for, row.tasks, row.note) for row in rows] == [
        ("zoom_8", "", None, None),
        ("zoom_7", "zoom_8", None, None),
        ("zoom_6", "zoom_7", None, None),
        ("zoom_5", "zoom_6", None, None),
        ("zoom_4", "zoom_5", None, None),
        ("clean_up", "all others, however they end", 1, None),
    ]
    assert client.value("select owner from stagebus.plans") == CALLER
