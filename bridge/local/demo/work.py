"""The demo's work: a place to its hexagon, and a coarse hexagon to its totals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple, cast

import h3

from bridge.exact_json import Json
from bridge.local.demo.places import Place
from bridge.worker import Parameters, StartedTask

#: Resolutions of H3: hexagons of about 5 km² for the places, of about 87,000 km² for the totals.
FINE, COARSE = 7, 2


class Total(NamedTuple):
    """What a coarse hexagon holds."""

    places: int
    population: int


def run_tasks(tasks: Iterable[StartedTask]) -> list[Json]:
    """The handler of the demo's workers."""
    work = {"h3_hexagon": find_hexagon, "hexagon_total": total_hexagon}
    return [work[task.task_type](task.parameters) for task in tasks]


def find_hexagon(parameters: Parameters) -> Json:
    """Stage 1: the fine and the coarse hexagon of a place."""
    latitude = cast(float, parameters["latitude"])
    longitude = cast(float, parameters["longitude"])
    cell = h3.latlng_to_cell(latitude, longitude, FINE)
    return {
        "hexagon": cell,
        "coarse": h3.cell_to_parent(cell, COARSE),
        "population": parameters["population"],
    }


def total_hexagon(parameters: Parameters) -> Json:
    """Stage 2: how many places a coarse hexagon has, and how many people live there."""
    populations = cast(list[int], parameters["populations"])
    return {
        "hexagon": parameters["hexagon"],
        "places": len(populations),
        "population": sum(populations),
    }


def direct_totals(places: Iterable[Place]) -> dict[str, Total]:
    """The same result without any of stagebus, in one loop; what the demo is compared with."""
    totals: dict[str, Total] = defaultdict(lambda: Total(0, 0))
    for place in places:
        hexagon = h3.latlng_to_cell(place.latitude, place.longitude, FINE)
        coarse = h3.cell_to_parent(hexagon, COARSE)
        count, population = totals[coarse]
        totals[coarse] = Total(count + 1, population + place.population)
    return dict(totals)
