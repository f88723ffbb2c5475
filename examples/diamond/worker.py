"""The work of the flood report, by the reference worker: python examples/diamond/worker.py

The river is made up: forty stations on four reaches, of which those in "silent" do not answer.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from typing import Any

from bridge.task_calls import TaskFailed
from bridge.worker import Outcome, StartedTask, Worker

STATIONS = 40
REACHES = ("source", "upper", "middle", "mouth")


def list_stations(_: dict[str, Any]) -> Outcome:
    """The stations, and the reach that each is on."""
    return {
        "stations": [
            {"station": f"g{number:02}", "reach": REACHES[number % len(REACHES)]}
            for number in range(1, STATIONS + 1)
        ]
    }


def read_level(task: dict[str, Any]) -> Outcome:
    """The level at a station."""
    station = task["station"]
    if station in task.get("silent", []):
        return TaskFailed(f"station {station} does not answer", retry=False)
    return {"station": station, "level_cm": level_of(station)}


def level_of(station: str) -> int:
    """Made up, but always the same."""
    return 100 + 7 * int(station[1:]) % 60


def forecast_rain(task: dict[str, Any]) -> Outcome:
    """The rain of one day to come."""
    return {"rain_mm": 3 * task["index"]}


def write_report(task: dict[str, Any]) -> Outcome:
    """What is known of a reach, and what is not."""
    return {
        "reach": task["reach"],
        "highest_cm": max(task["levels_cm"].values(), default=None),
        "stations": len(task["levels_cm"]),
        "silent": task["silent"],
        "rain_mm": None if task["rain_mm"] is None else sum(task["rain_mm"]),
    }


WORK = {
    "list_stations": list_stations,
    "read_level": read_level,
    "forecast_rain": forecast_rain,
    "write_report": write_report,
}


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
