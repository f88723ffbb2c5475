"""Bridges that are killed advance jobs of random plans: each ends as the simple model says."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from tests.bridge.conftest import Queue
from tests.client import Client
from tests.plans.random_dags.model import random_dag
from tests.plans.random_dags.run import Work, check_or_say, prepare, submit

#: Of the plans, and of what befalls them and the bridges.
SEED = 1

#: What a bridge is told at its start: to die before or after an advance, or nothing.
DEATHS = ["advance_job.before=kill@{}", "advance_job.after=kill@{}", ""]


def test_advanced_by_bridges_that_are_killed(
    client: Client, queue: Queue, start_bridge: Any
) -> None:
    rng = random.Random(SEED)
    prepare(client)
    jobs = []
    for number in range(12):
        dag = random_dag(rng, 2000)
        job_id = submit(client, dag, f"dag_{number}")
        jobs.append((dag, job_id, Work(client, dag, job_id, rng)))

    def start() -> Any:
        points = rng.choice(DEATHS).format(rng.randint(1, 8))
        return start_bridge(STAGEBUS_FAILPOINTS=points)

    async def scenario() -> int:
        bridges = [start(), start()]
        died = 0
        while not all(work.over() for _, _, work in jobs):
            for _, _, work in jobs:
                if not work.over():
                    work.step()
            if rng.random() < 0.1:
                rng.choice(bridges).process.kill()
            for place, bridge in enumerate(bridges):
                if bridge.process.poll() is not None:
                    died += 1
                    bridges[place] = start()
            await asyncio.sleep(0.01)
        return died

    died = asyncio.run(asyncio.wait_for(scenario(), 150))
    assert died > 0
    for number, (dag, job_id, _) in enumerate(jobs):
        check_or_say(client, dag, job_id, f"seed {SEED}, job {number}")
