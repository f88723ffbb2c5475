"""Several threads at several jobs at once: workers, operators, orders, maintenance, advances."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Event

from tests.client import Client
from tests.plans.random_dags.by_hand import work_some_orders
from tests.plans.random_dags.check import check, check_nothing_is_left, explain
from tests.plans.random_dags.draw import random_dag
from tests.plans.random_dags.work import Work, prepare, submit

THREADS = 6
JOBS = 16
MOST_TASKS = 300
#: Of each thread; a job that has not ended by then never does.
STEPS = 3000


def run_crowd(client: Client, seed: int, rounds: int = 1) -> Counter[str]:
    """What was done. Nothing deadlocks: an error of any call fails."""
    prepare(client)
    done: Counter[str] = Counter()
    for number in range(rounds):
        rng = random.Random(f"crowd {seed}.{number}")
        works = []
        for job in range(JOBS):
            dag = random_dag(rng, MOST_TASKS)
            job_id = submit(client, dag, f"crowd_{seed}_{number}_{job}", rng)
            works.append(Work(dag, job_id, asked=job % 4 > 0))
        _run(client, works, f"{seed}.{number}")
        for work in works:
            try:
                assert work.over(client), "it never ended"
                check(client, work)
            except AssertionError as error:
                raise AssertionError(
                    f"crowd, seed {seed}, round {number}: {explain(client, work, error)}"
                ) from error
            done += work.done
        check_nothing_is_left(client)
    return done


def _run(client: Client, works: Sequence[Work], seed: str) -> None:
    """Until all is over, or somebody has failed."""
    failed = Event()

    def act(number: int) -> None:
        rng = random.Random(f"{seed}.{number}")
        running = list(works)
        with closing(Client(client.url)) as session:
            for _ in range(STEPS):
                if failed.is_set() or not running:
                    return
                work = rng.choice(running)
                try:
                    _act(session, work, rng)
                    if rng.random() < 0.1 and work.over(session):
                        running.remove(work)
                except BaseException as error:
                    failed.set()
                    error.add_note(f"seed {seed}, job {work.job_id}:\n{work.dag}")
                    raise

    with ThreadPoolExecutor(THREADS) as threads:
        for _ in threads.map(act, range(THREADS)):
            pass


def _act(session: Client, work: Work, rng: random.Random) -> None:
    what = rng.random()
    if what < 0.5:
        work.step(session, rng)
    elif what < 0.85:
        if not work.is_to_be_advanced(session):
            return
        with session.transaction(roll_back=rng.random() < 0.2):
            done = session.advance_job(work.job_id)
        assert done.status != "failed", session.job(work.job_id).error
        work.done[f"advance: {done.status}"] += 1
    elif what < 0.95:
        work_some_orders(session, rng)
    else:
        session.maintain()
