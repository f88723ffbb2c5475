"""A run: load and faults from a seed; then calm, and a verdict from ledgers.

    python -m tests.faults --minutes 10 --seed 1

In the end the folder holds `timeline.log` (what was done to the processes, and what they said, in
order of time; clocks that were shifted say so), their logs and ledgers, and the endpoint's journal.
"""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from tests.faults import acts
from tests.faults.evidence import gather
from tests.faults.kinds import Scheduled, all_kinds, schedule
from tests.faults.members import faketime_library
from tests.faults.verdict import Happened, Verdict, judge
from tests.faults.world import World, new_world

#: Seconds after the last fault within which everything must have ended.
CALM = 300.0

#: Seconds between two looks at how long the journal is: how exactly a message's time is known.
LOOK = 0.1

#: Faults at a time: some wait for somebody to come by, or last for a while.
AT_A_TIME = 16

_OPEN = (
    "select count(*) from stagebus.jobs where status not in ('completed', 'failed', 'cancelled')"
)

#: What an operator does once the trouble is over: batches whose publish attempts were spent.
_RETRY = """
select count(*)
from (select job_id, batch_id from stagebus.batches where status = 'failed') as b
cross join lateral stagebus.retry_batch(b.job_id, b.batch_id, reason => 'the trouble is over')
"""

_RESUME = """
select stagebus.resume_destination(destination)
from stagebus.destination_status
where paused_at < clock_timestamp() - interval '12 seconds'
"""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What a run does."""

    minutes: float
    """For how long tasks are created and faults happen."""
    seed: int
    folder: Path
    """Where logs and ledgers go; it is emptied before."""
    rate: float = 300
    """Tasks that are to be committed a second."""
    pace: float = 1.1
    """Seconds between two faults, on average."""


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
                if line.startswith("{") and line.endswith("}"):
                    said = json.loads(line)
                    lines.append({"at": said.pop("at")[:23] + "+00:00", "from": log.stem, **said})
        lines.sort(key=lambda line: line["at"])
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (folder / "timeline.log").write_text(text, "utf-8")


def run(plan: Plan, say: Say = lambda line: None) -> Verdict:
    """One run from an empty database to its verdict."""
    shutil.rmtree(plan.folder, ignore_errors=True)
    plan.folder.mkdir(parents=True)
    timeline = Timeline(say)
    clocks = faketime_library() is not None
    if not clocks:
        timeline.add("clocks.left_alone", reason="the package faketime is not installed")
    faults = schedule(plan.seed, plan.minutes * 60, all_kinds(clocks=clocks), plan.pace)
    with new_world(plan.folder, plan.rate, plan.seed, clocks=clocks) as world:
        timeline.add("run.started", seed=plan.seed, minutes=plan.minutes, faults=len(faults))
        with _watched(world) as grew:
            happened = _disturb(world, faults, plan.minutes * 60, timeline)
            died = _end(world, "producer")
            retried = _wait_for_calm(world, timeline)
        died += _end(world, "")
        timeline.write(plan.folder)
        ledgers = [member.ledger for member in world.members if member.ledger.exists()]
        evidence = gather(ledgers, world.journal, grew, world.postgres)
        shutil.copy(world.postgres.log, plan.folder / "postgres.txt")
    verdict = judge(evidence, happened)
    verdict.processes_died = died
    verdict.retried_by_operator = retried
    return verdict


@contextmanager
def _watched(world: World) -> Any:
    """Keeps everybody running, and notes how long the journal is at which time."""
    grew: list[tuple[float, int]] = []
    operator = _Operator(world)
    over = threading.Event()

    def watch() -> None:
        while not over.wait(LOOK):
            grew.append((time.monotonic(), world.journal.stat().st_size))
            world.keep_running()
            operator.look()

    watcher = threading.Thread(target=watch, name="watch")
    watcher.start()
    try:
        yield grew
    finally:
        over.set()
        watcher.join()


class _Operator:
    """Somebody who looks every few seconds, and resumes what does not resume by itself.

    While so many faults wait for a send, the one send every ten seconds that tries a paused
    destination meets one of them again and again.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._look_at = 0.0

    def look(self) -> None:
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + 3
        with suppress(psycopg.Error):
            self._world.execute(_RESUME)


def _disturb(
    world: World, faults: list[Scheduled], seconds: float, timeline: Timeline
) -> list[Happened]:
    """Does each fault at its time; returns once the time is over and all are done."""
    began = time.monotonic()

    def happen(fault: Scheduled) -> Happened:
        done = acts.do(world, fault)
        event = "fault.done" if done.effect else "fault.without_effect"
        effect = done.effect or done.error
        timeline.add(event, number=fault.number, kind=fault.kind, effect=effect)
        return done

    with ThreadPoolExecutor(AT_A_TIME, "fault") as pool:
        happening = []
        try:
            for fault in faults:
                time.sleep(max(0.0, began + fault.at - time.monotonic()))
                happening.append(pool.submit(happen, fault))
            time.sleep(max(0.0, began + seconds - time.monotonic()))
            happened = [each.result() for each in happening]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    world.endpoint.faults.clear()
    return happened


def _end(world: World, prefix: str) -> int:
    """Tells some to stop; returns how many did not end well, now or before."""
    died = 0
    for member in world.named(prefix):
        with member.busy:
            died += len(member.died) + (member.stop() not in (0, None))
            member.died.clear()
    return died


def _wait_for_calm(world: World, timeline: Timeline) -> int:
    """Until every job has ended; returns how many batches an operator had to retry."""
    give_up = time.monotonic() + CALM
    retried = 0
    while time.monotonic() < give_up:
        ((batches,),) = world.execute(_RETRY)
        retried += int(batches)
        ((jobs,),) = world.execute(_OPEN)
        if not jobs and _all_told(world):
            timeline.add("calm", retried_batches=retried)
            return retried
        time.sleep(0.5)
    timeline.add("no.calm", jobs=jobs, retried_batches=retried)
    return retried


def _all_told(world: World) -> bool:
    """Whether the controller has read all that it was told."""
    jobs = world.endpoint.counts()["entities"]["jobs"]
    ((waiting,),) = world.execute(
        "select count(*) from stagebus.batches where status in ('pending_queue', 'publishing')"
    )
    return not waiting and jobs["active"] == jobs["locked"] == 0
