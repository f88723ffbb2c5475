"""Bridges as processes that are killed, at any moment and at the failpoints of an advance."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from tests.bridge.conftest import BridgeProcess
from tests.client import Client
from tests.eventually import eventually
from tests.plans.random_dags.check import check, check_nothing_is_left, explain
from tests.plans.random_dags.draw import random_dag
from tests.plans.random_dags.work import ARRIVED, Work, prepare, submit

JOBS = 12
MOST_TASKS = 2000

#: What a bridge is told at its start, one after the other: to die before or after its so-manieth
#: advance, or nothing.
DEATHS = ("advance_job.before=kill@{}", "advance_job.after=kill@{}", "")

#: How often in a hundred rounds of work a bridge is killed.
KILLS = 4

#: What a killed bridge held is claimed by another soon.
SETTINGS = {"STAGEBUS_LEASE": "3", "STAGEBUS_SEND_DEADLINE": "2", "STAGEBUS_POLL": "1"}

Start = Callable[[str], BridgeProcess]


class Bridges:
    """Two bridges, each replaced when it has died."""

    def __init__(self, start: Start, rng: random.Random) -> None:
        self._start, self._rng = start, rng
        self.died: Counter[str] = Counter()
        """By what."""
        self._running = [self._next(), self._next()]

    def _next(self) -> tuple[BridgeProcess, str]:
        points = DEATHS[self._started % len(DEATHS)].format(self._rng.randint(1, 8))
        self._started += 1
        return self._start(points), points

    _started = 0

    def kill_one(self) -> None:
        """It, and what it is doing, ends at once."""
        bridge, _ = self._rng.choice(self._running)
        if bridge.process.poll() is None:
            bridge.process.kill()
            bridge.process.wait()
            self.died["killed"] += 1
            self._replace(bridge)

    def replace_the_dead(self) -> None:
        """Those that their failpoints have killed."""
        for bridge, points in self._running:
            if bridge.process.poll() is not None:
                log = bridge.log.read_text("utf-8").splitlines()
                last = json.loads(log[-1])
                assert (last["event"], last["action"]) == ("failpoint.hit", "kill"), log[-5:]
                self.died[points.partition("=")[0]] += 1
                self._replace(bridge)

    def _replace(self, gone: BridgeProcess) -> None:
        self._running = [
            self._next() if bridge is gone else (bridge, points) for bridge, points in self._running
        ]

    def stop(self) -> None:
        for bridge, _ in self._running:
            bridge.process.kill()
            bridge.process.wait()


def run_bridges(
    client: Client, start: Start, stored: Callable[[], Sequence[str]], seed: int
) -> Counter[str]:
    """What was done, and how bridges died. `stored`: the ids of the messages that the endpoint has.

    Workers run what has arrived there, and nothing else.
    """
    rng = random.Random(f"bridges {seed}")
    prepare(client)
    works = []
    for number in range(JOBS):
        dag = random_dag(rng, MOST_TASKS)
        job_id = submit(client, dag, f"bridges_{seed}_{number}", rng)
        works.append(Work(dag, job_id, waiting=ARRIVED))
    bridges = Bridges(start, rng)
    try:
        running = list(works)

        def work_on() -> bool:
            """A round of work; true when all is over."""
            for work in list(running):
                if not work.step(client, rng) and work.over(client):
                    running.remove(work)
            if rng.randrange(100) < KILLS:
                bridges.kill_one()
            bridges.replace_the_dead()
            return not running

        eventually(work_on, within=150)
        eventually(lambda: not client.value(UNSENT), within=60)
    except AssertionError as error:
        said = [explain(client, work, error) for work in running]
        raise AssertionError(f"bridges, seed {seed}:\n" + "\n\n".join(said)) from error
    finally:
        bridges.stop()
    for work in works:
        try:
            check(client, work)
        except AssertionError as error:
            said = [explain(client, work, error)]
            raise AssertionError(f"bridges, seed {seed}:\n" + said[0]) from error
    check_nothing_is_left(client)
    _check_messages(client, works, stored())
    return sum((work.done for work in works), Counter[str]()) + bridges.died


UNSENT = (
    "select exists (select from stagebus_data.batches"
    " where state in ('pending_queue', 'publishing'))"
)


def _check_messages(client: Client, works: Sequence[Work], stored: Sequence[str]) -> None:
    """Each attempt that was made was told once by a message, and only what is a task was told."""
    assert len(stored) == len(set(stored)), "the broker drops what comes again"
    told = Counter(".".join(each.split(".")[:2]) for each in stored)
    for work in works:
        of_job = {each: told[each] for each in told if each.startswith(str(work.job_id))}
        # When a cancelling is taken back, what nobody has started is told again.
        assert set(of_job.values()) <= {1} or work.taken_back, work.dag
        tasks: list[Any] = client.rows(
            "select task_id || '.' || attempt as attempt, status from stagebus.tasks"
            " where job_id = %s",
            work.job_id,
        )
        made = {task.attempt for task in tasks if task.status in ("completed", "failed")}
        assert made <= set(told), f"of {work.dag}: {sorted(made - set(told))[:5]}"
        known = {task.attempt.partition(".")[0] for task in tasks}
        assert {each.partition(".")[0] for each in of_job} <= known, "told of no task"
