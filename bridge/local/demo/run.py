"""Runs the demo from an empty folder to a checked result."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import psycopg

from bridge.local.demo.controller import Controller, Progress
from bridge.local.demo.operator import Operator
from bridge.local.demo.places import Place
from bridge.local.demo.processes import Processes
from bridge.local.demo.report import Report, count
from bridge.local.demo.troubles import BridgeKilled, Trouble, WorkersKilled
from bridge.local.demo.work import Total, direct_totals
from bridge.local.stack import LocalStack, local_stack

WORKERS = 2

WORKER = "bridge.local.demo.worker"
FAILING_WORKER = "bridge.local.demo.failing_worker"

#: Orders to retry after which no task is left: each leaves about one in ten of its tasks.
MOST_ORDERS = 12

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
    places: list[Place],
    build: Path,
    look: Look,
    *,
    kill_bridge: bool = False,
    retries: bool = False,
) -> tuple[Report, dict[str, Total]]:
    """The whole demo; writes `demo.json` and, under `demo/`, logs and ledgers into `build`.

    kill_bridge: once the first sends of stage 1 are recorded, the bridge is killed (SIGKILL) and
    another is started. retries: in stage 1, one attempt in ten fails, workers are killed while they
    have tasks in hand, and an operator has what failed tried again.
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
            report, totals = _run(
                stack, places, logs, journal, clock, look, kill_bridge, retries, began
            )
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
    retries: bool,
    began: float,
) -> tuple[Report, dict[str, Total]]:
    _make_roles(stack)
    with (
        Processes(stack, logs, FAILING_WORKER if retries else WORKER) as processes,
        psycopg.connect(stack.database_url_for("demo_producer"), autocommit=True) as connection,
        psycopg.connect(stack.database_url_for("demo_operator"), autocommit=True) as steering,
    ):
        controller, operator = Controller(connection), Operator(steering)
        if retries:
            operator.expect_failures()
        bridge = processes.start_bridge()
        workers = {number: processes.start_worker(number) for number in range(1, WORKERS + 1)}
        workers_killed = WorkersKilled(processes, workers, operator, look)
        troubles: list[Trouble] = [workers_killed] if retries else []
        if kill_bridge:
            troubles.append(BridgeKilled(processes, bridge, look))

        look(f"loading {len(places):,} places", None)
        with clock.phase("load"):
            controller.load(places)

        look("defining the plan, submitting a job", None)
        with clock.phase("define_plan"):
            controller.define_plan()
        with clock.phase("create_stage_1"):
            job_id = controller.submit_job()
            controller.wait_until_made(job_id, 1, STAGE_TIMEOUT)

        def watch_stage_1(progress: Progress) -> None:
            processes.check()
            look("stage 1: hexagons of places", progress)
            for trouble in troubles:
                trouble.look(job_id, progress)

        with clock.phase("stage_1"):
            all_completed = controller.wait_for_stage(job_id, 1, watch_stage_1, STAGE_TIMEOUT)
        for trouble in troubles:
            trouble.check()
        if not all_completed:
            with clock.phase("retries"):
                _retry_until_done(controller, operator, job_id, watch_stage_1, look)

        look("stage 2: made by the plan, one task per coarse hexagon", None)
        with clock.phase("create_stage_2"):
            controller.wait_until_made(job_id, 2, STAGE_TIMEOUT)

        def watch_stage_2(progress: Progress) -> None:
            processes.check()
            look("stage 2: totals of coarse hexagons", progress)

        with clock.phase("stage_2"):
            controller.wait_for_stage(job_id, 2, watch_stage_2, STAGE_TIMEOUT)
            status = controller.wait_for_end(job_id, STAGE_TIMEOUT)
        if status != "completed":
            raise RuntimeError(f"the job ended as {status}")

        look("checking the result", None)
        with clock.phase("check"):
            totals = controller.totals(job_id)
            matches = totals == direct_totals(places)
        processes.stop()
        clock.seconds["total"] = round(time.monotonic() - began, 3)
        report = count(
            stack,
            processes,
            job_id,
            journal,
            in_hand=workers_killed.in_hand,
            workers_killed=workers_killed.killed,
            result_matches=matches,
            seconds=clock.seconds,
        )
    return report, totals


def _retry_until_done(
    controller: Controller,
    operator: Operator,
    job_id: UUID,
    watch: Callable[[Progress], None],
    look: Look,
) -> None:
    """What an operator does who sees that stage 1 failed and that its job waits for somebody."""
    for _ in range(MOST_ORDERS):
        foreseen = operator.look_at_failures(job_id, 1)
        look(f"operator: retry_tasks, dry run: {foreseen.tasks} tasks, {foreseen.note}", None)
        done = operator.retry_failures(job_id, 1)
        look(f"operator: retry_tasks: {done} tasks", None)
        if done != foreseen.tasks:
            raise RuntimeError(f"{foreseen.tasks} tasks were foreseen, {done} tried again")
        if controller.wait_for_stage(job_id, 1, watch, STAGE_TIMEOUT):
            return
    raise RuntimeError(f"tasks still fail after {MOST_ORDERS} orders")


def _make_roles(stack: LocalStack) -> None:
    """One login for each part, with the rights of its audience and no others."""
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        connection.execute("create role demo_producer login in role stagebus_producer")
        connection.execute("create schema demo authorization demo_producer")
        connection.execute("create role demo_bridge login in role stagebus_bridge")
        connection.execute("create role demo_worker login in role stagebus_worker")
        connection.execute("create role demo_operator login in role stagebus_operator")
        connection.execute("select stagebus.set_task_type('hexagon_total', batch_size => 500)")
