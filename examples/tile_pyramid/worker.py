"""The work of the tile pyramid, by the reference worker: python examples/tile_pyramid/worker.py

A tile is "rendered" to something that can be checked: how much ground it shows, in m².
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from math import atan, pi, sin, sinh
from typing import Any

from bridge.worker import Outcome, StartedTask, Worker

#: The earth's mean radius, in metres.
RADIUS = 6_371_008.8


def render_tile(tile: dict[str, Any]) -> Outcome:
    """A tile of the base: its ground, between two meridians and two parallels."""
    side = 2 ** tile["z"]
    north, south = (atan(sinh(pi * (1 - 2 * y / side))) for y in (tile["y"], tile["y"] + 1))
    ground = RADIUS**2 * (2 * pi / side) * (sin(north) - sin(south))
    return {"z": tile["z"], "x": tile["x"], "y": tile["y"], "tiles": 1, "ground": round(ground)}


def merge_tiles(tile: dict[str, Any]) -> Outcome:
    """A tile of a level above, of what its four children brought home."""
    children = tile["children"]
    return {
        "z": tile["z"],
        "x": tile["x"],
        "y": tile["y"],
        "tiles": sum(child["tiles"] for child in children),
        "ground": sum(child["ground"] for child in children),
    }


def clean_up(_: dict[str, Any]) -> Outcome:
    """Here a real one would remove what only the job needed."""
    return None


WORK = {"render_tile": render_tile, "merge_tiles": merge_tiles, "clean_up": clean_up}


def work(tasks: Sequence[StartedTask]) -> list[Outcome]:
    return [WORK[task.task_type](task.parameters) for task in tasks]


async def main() -> None:
    """Works until Ctrl-C."""
    worker = Worker(
        os.environ["STAGEBUS_DATABASE_URL"],
        os.environ["STAGEBUS_SERVICEBUS_CONNECTION_STRING"],
        work,
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, worker.stop)
    await worker.run()


if __name__ == "__main__":
    asyncio.run(main())
