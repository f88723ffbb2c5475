"""Runs the demo from an empty folder to a checked result."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

import psycopg

from bridge.local.demo.controller import STAGE_1, STAGE_2, Controller, Progress
from bridge.local.demo.places import Place
from bridge.local.demo.processes import Processes
from bridge.local.demo.report import Report, count
from bridge.local.demo.work import Total, direct_totals
from bridge.local.stack import LocalStack, local_stack

WORKERS = 2

#: Seconds after which a stage that does not complete fails the demo.
STAGE_TIMEOUT = 800.0

#: Told what happens: a phase (with its stage's progress, while there is one).
Look = Callable[[str, Progress | None], None]


class Clock:
    """Seconds by phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - started, 3)


def run_demo(
    places: list[Place], build: Path, look: Look, *, kill_bridge: bool = False
) -> tuple[Report, dict[str, Total]]:
    """The whole demo; writes `demo.json` and, under `demo/`, logs and ledgers into `build`.

    kill_bridge: once the first sends of stage 1 are recorded, the bridge is killed (SIGKILL) and
    another is started.
    """
    logs = build / "demo"
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    journal = logs / "endpoint.journal"
    folder = Path(tempfile.mkdtemp(prefix="stagebus-demo-"))
    clock = Clock()
    began = time.monotonic()
    try:
        look("starting PostgreSQL and the endpoint", None)
        with clock.phase("start"):
            servers = local_stack(folder, journal=journal)
            stack = servers.__enter__()
        try:
            report, totals = _run(stack, places, logs, journal, clock, look, kill_bridge, began)
        finally:
            servers.__exit__(None, None, None)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    (build / "demo.json").write_text(json.dumps(report.as_json(), indent=2) + "\n", "utf-8")
    return report, totals


def _run(
    stack: LocalStack,
    places: list[Place],
    logs: Path,
    journal: Path,
    clock: Clock,
    look: Look,
    kill_bridge: bool,
    began: float,
) -> tuple[Report, dict[str, Total]]:
    _make_roles(stack)
    with (
        Processes(stack, logs) as processes,
        psycopg.connect(stack.database_url_for("demo_producer"), autocommit=True) as connection,
    ):
        bridge = processes.start_bridge()
        for number in range(1, WORKERS + 1):
            processes.start_worker(number)
        controller = Controller(connection)

        look(f"loading {len(places):,} places", None)
        with clock.phase("load"):
            controller.load(places)

        look("stage 1: one task per place", None)
        with clock.phase("create_stage_1"):
            job_id = controller.create_job()
            controller.create_stage(job_id, 1, "h3_hexagon", STAGE_1)
        victim: Popen[bytes] | None = bridge if kill_bridge else None

        def watch_stage_1(progress: Progress) -> None:
            nonlocal victim
            processes.check()
            look("stage 1: hexagons of places", progress)
            if victim is not None and 0 < progress.published < progress.tasks:
                look("killing the bridge (SIGKILL), starting another", progress)
                processes.kill(victim)
                processes.start_bridge()
                victim = None

        with clock.phase("stage_1"):
            controller.wait_for_stage(job_id, 1, watch_stage_1, STAGE_TIMEOUT)
        if victim is not None:
            raise RuntimeError("all was published before the bridge could be killed")

        look("stage 2: one task per coarse hexagon", None)
        with clock.phase("create_stage_2"):
            controller.create_stage(job_id, 2, "hexagon_total", STAGE_2.format(job_id=job_id))

        def watch_stage_2(progress: Progress) -> None:
            processes.check()
            look("stage 2: totals of coarse hexagons", progress)

        with clock.phase("stage_2"):
            controller.wait_for_stage(job_id, 2, watch_stage_2, STAGE_TIMEOUT)

        look("checking the result", None)
        with clock.phase("check"):
            controller.finish(job_id)
            totals = controller.totals(job_id)
            matches = totals == direct_totals(places)
        processes.stop()
        clock.seconds["total"] = round(time.monotonic() - began, 3)
        report = count(
            stack,
            processes,
            job_id,
            journal,
            result_matches=matches,
            seconds=clock.seconds,
        )
    return report, totals


def _make_roles(stack: LocalStack) -> None:
    """One login for each part, with the rights of its audience and no others."""
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        connection.execute("create role demo_producer login in role stagebus_producer")
        connection.execute("create role demo_bridge login in role stagebus_bridge")
        connection.execute("create role demo_worker login in role stagebus_worker")
        connection.execute("select stagebus.set_task_type('hexagon_total', batch_size => 500)")
