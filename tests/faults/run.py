"""A fault run: load, random faults, restarts of PostgreSQL; then calm, and a count of everything.

    python -m tests.faults --tasks 300000 --seconds 300 --restarts 2 --seed 1

Two bridges and two workers publish and do the tasks of many small jobs, which are created evenly
over the time of the run. Once a second something goes wrong. In the end the folder holds
`timeline.log` (what was done to them, and what the bridges and workers said, in order of time) and
`verdict.json`.
"""

from __future__ import annotations

import json
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from bridge.local.demo.processes import Processes
from bridge.local.endpoint.process import RunningEndpoint, run_endpoint
from bridge.local.postgres import LocalPostgres
from bridge.local.stack import LocalStack
from bridge.migrate import migrate
from tests.faults.script import SEND_DEADLINE, faults
from tests.faults.verdict import Verdict, count

#: Seconds a bridge of a run holds a batch without a sign of life.
LEASE = 15

#: Seconds between two faults.
PACE = 1.0

#: Seconds for which PostgreSQL is away at a restart.
AWAY = 2.0

#: Seconds after the last fault within which everything must have ended or visibly wait.
CALM = 300.0

#: Task types by name: how many tasks a batch has. 5,000 are ten sends or so, 250 are one.
BATCH_SIZES = {"long": 5000, "short": 250}
TASKS_OF_A_JOB = 5000

WORKERS = 2
BRIDGES = 2

#: Stages with more open tasks than their failed batches account for, and all open tasks.
_OPEN = """
select count(*) filter (where open_tasks > waiting_for_an_operator), sum(open_tasks)
from (
    select
        p.tasks - p.completed - p.failed - p.cancelled as open_tasks,
        (
            select coalesce(sum(case when b.published_through > 0
                then b.last_index - b.published_through else b.tasks end), 0)
            from stagebus.batches as b
            where b.job_id = p.job_id and b.stage = p.stage and b.status = 'failed'
        ) as waiting_for_an_operator
    from stagebus.job_progress as p
    where p.stage_status = 'open'
) as stage
"""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What a run does."""

    tasks: int
    """Rounded up to whole jobs of 5,000 tasks."""
    seconds: float
    """For how long jobs are created and things go wrong."""
    restarts: int
    """Restarts of PostgreSQL: by turns an orderly one, and a crash."""
    seed: int
    folder: Path
    """Where logs, ledgers and the verdict go; it is emptied before."""

    @property
    def jobs(self) -> int:
        return -(-self.tasks // TASKS_OF_A_JOB)


@dataclass
class Timeline:
    """What the run did, and when."""

    say: Say
    events: list[dict[str, Any]] = field(default_factory=list)

    def add(self, event: str, **fields: Any) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        self.events.append({"at": at, "from": "run", "event": event, **fields})
        self.say(" ".join([at[11:23], event, *(f"{k}={v}" for k, v in fields.items())]))

    def write(self, folder: Path) -> None:
        """Merges them with what the processes logged into `timeline.log`."""
        lines = list(self.events)
        for log in sorted(folder.glob("*.log")):
            for line in log.read_text("utf-8", errors="replace").splitlines():
                if line.startswith("{"):
                    said = json.loads(line)
                    lines.append({"at": said.pop("at")[:23] + "+00:00", "from": log.stem, **said})
        lines.sort(key=lambda line: line["at"])
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (folder / "timeline.log").write_text(text, "utf-8")


@dataclass
class Stack:
    """PostgreSQL and the endpoint of a run."""

    postgres: LocalPostgres
    endpoint: RunningEndpoint
    journal: Path


def run(plan: Plan, say: Say = lambda line: None) -> Verdict:
    """One run from an empty database to its verdict."""
    shutil.rmtree(plan.folder, ignore_errors=True)
    plan.folder.mkdir(parents=True)
    timeline = Timeline(say)
    with ExitStack() as parts:
        stack = _start(parts, plan.folder)
        processes = parts.enter_context(
            Processes(
                LocalStack(stack.postgres, stack.endpoint),
                plan.folder,
                worker="tests.faults.worker",
                lease=LEASE,
                send_deadline=SEND_DEADLINE,
            )
        )
        for number in range(1, BRIDGES + 1):
            processes.start_bridge(f"bridge-{number}")
        for number in range(1, WORKERS + 1):
            processes.start_worker(number)
        timeline.add("run.started", seed=plan.seed, tasks=plan.jobs * TASKS_OF_A_JOB)
        done = _disturb(plan, stack, processes, timeline)
        _wait_for_calm(stack, processes, timeline)
        broker = stack.endpoint.counts()["entities"]["tasks"]
        timeline.add("broker.counts", **broker)
        processes.stop()
        timeline.write(plan.folder)
        verdict = count(
            stack.postgres.url(),
            stack.journal,
            processes.ledgers,
            stages=plan.jobs,
            duplicates_dropped=broker["duplicates_dropped"],
            faults=done,
        )
    (plan.folder / "verdict.json").write_text(json.dumps(verdict.as_json(), indent=2) + "\n")
    return verdict


def _start(parts: ExitStack, folder: Path) -> Stack:
    database = Path(tempfile.mkdtemp(prefix="stagebus-faults-"))
    parts.callback(shutil.rmtree, database, ignore_errors=True)
    postgres = LocalPostgres(database)
    parts.callback(postgres.stop)
    postgres.start()
    migrate(postgres.url())
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute("create role demo_bridge login in role stagebus_bridge")
        connection.execute("create role demo_worker login in role stagebus_worker")
        for name, size in BATCH_SIZES.items():
            connection.execute(
                "select stagebus.set_task_type(%s, batch_size => %s, timeout => '30 seconds',"
                " max_attempts => 10)",
                (name, size),
            )
    journal = folder / "endpoint.journal"
    # Locks end soon, so that what a fault held back is delivered again within the run.
    arguments = ["--journal", str(journal), "--lock-duration", "20", "--max-delivery-count", "100"]
    return Stack(postgres, parts.enter_context(run_endpoint(arguments=arguments)), journal)


def _disturb(plan: Plan, stack: Stack, processes: Processes, timeline: Timeline) -> dict[str, int]:
    """Creates jobs and lets things go wrong for the time of the plan; what was done, by kind."""
    began = time.monotonic()
    script = faults(plan.seed)
    created = restarted = 0
    next_fault = PACE
    while (elapsed := time.monotonic() - began) < plan.seconds or created < plan.jobs:
        processes.check()
        share = min(1.0, elapsed / (plan.seconds * 0.9))
        if created < max(1, share * plan.jobs):
            _create_job(stack, created, timeline)
            created += 1
        elif restarted < plan.restarts and share > (restarted + 1) / (plan.restarts + 1):
            _restart(stack.postgres, restarted, timeline)
            restarted += 1
        elif elapsed >= next_fault:
            next_fault += PACE
            fault = next(script)
            stack.endpoint.faults.set(**fault)
            timeline.add("fault.set", **fault)
        else:
            time.sleep(0.02)
    # What could not happen yet is taken away, so that calm comes.
    done: Counter[str] = Counter()
    for state in stack.endpoint.faults.clear():
        kind = str(state["fault"]["name"]).rpartition("-")[0]
        done[kind] += int(state["done"])
    timeline.add("faults.cleared", done=sum(done.values()))
    return dict(sorted(done.items()))


def _create_job(stack: Stack, number: int, timeline: Timeline) -> None:
    task_type = list(BATCH_SIZES)[number % len(BATCH_SIZES)]
    with psycopg.connect(stack.postgres.url(), autocommit=True) as connection:
        row = connection.execute(
            "select job_id from create_stage_tasks(create_job('fault_run'), 1, %s, %s)",
            (task_type, TASKS_OF_A_JOB),
        ).fetchone()
    timeline.add("job.created", job_id=str(row and row[0]), task_type=task_type)


def _restart(postgres: LocalPostgres, number: int, timeline: Timeline) -> None:
    crash = number % 2 == 1
    timeline.add("postgres.crashing" if crash else "postgres.restarting")
    postgres.stop(signal.SIGQUIT if crash else signal.SIGINT)
    time.sleep(AWAY)
    postgres.start()
    timeline.add("postgres.started")


def _wait_for_calm(stack: Stack, processes: Processes, timeline: Timeline) -> None:
    """Until every stage has ended, or only batches that wait for an operator are left."""
    give_up = time.monotonic() + CALM
    while time.monotonic() < give_up:
        processes.check()
        with psycopg.connect(stack.postgres.url(), autocommit=True) as connection:
            row = connection.execute(_OPEN).fetchone()
        busy, left = row or (0, 0)
        if not busy:
            timeline.add("calm", open_tasks=int(left or 0))
            return
        time.sleep(0.5)
    timeline.add("no.calm", stages=busy, open_tasks=int(left or 0))
