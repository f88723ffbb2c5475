"""Jobs of random plans end as the simple model says, whoever advances them and whenever."""

from __future__ import annotations

import os
import random
from uuid import UUID

import pytest

from tests.client import Client
from tests.plans.random_dags.model import random_dag
from tests.plans.random_dags.run import Work, check_or_say, prepare, submit

#: Jobs for each seed.
JOBS = 25

#: To try others: STAGEBUS_DAG_SEEDS="7 8 9".
SEEDS = [int(seed) for seed in os.environ.get("STAGEBUS_DAG_SEEDS", "1 2 3 4").split()]


@pytest.mark.parametrize("seed", SEEDS)
def test_advanced_by_hand_from_three_sessions(client: Client, seed: int) -> None:
    rng = random.Random(seed)
    prepare(client)
    sessions = [client.session() for _ in range(3)]
    for number in range(JOBS):
        dag = random_dag(rng, 200)
        job_id = submit(client, dag, f"dag_{seed}_{number}")
        work = Work(client, dag, job_id, rng)
        for _ in range(5000):
            if work.over():
                break
            if rng.random() < 0.5:
                work.step()
            else:
                advance(rng, sessions, job_id)
        check_or_say(client, dag, job_id, f"seed {seed}, job {number}")


def advance(rng: random.Random, sessions: list[Client], job_id: UUID) -> None:
    """By one, or by two at once, or undone."""
    first, second = rng.sample(sessions, 2)
    how = rng.random()
    if how < 0.6:
        first.advance_job(job_id)
    elif how < 0.8:
        with first.transaction(roll_back=rng.random() < 0.5):
            first.advance_job(job_id)
            assert second.advance_job(job_id).status == "busy"
    else:
        together = first.in_background(lambda: first.advance_job(job_id))
        second.advance_job(job_id)
        together.result()
