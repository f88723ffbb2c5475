"""One thread, three sessions: advances by one, by two at once, undone, repeated, in between."""

from __future__ import annotations

import random
from collections import Counter
from uuid import UUID

from tests.client import Client
from tests.plans.random_dags.check import check, check_nothing_is_left, explain
from tests.plans.random_dags.draw import random_dag, smaller
from tests.plans.random_dags.model import Dag
from tests.plans.random_dags.work import Work, prepare, submit

#: Jobs at a time.
AT_A_TIME = 4
MOST_TASKS = 150
STEPS = 4000


def run_by_hand(client: Client, seed: int, rounds: int) -> Counter[str]:
    """What was done. A failure says the seed, and what befalls a job as small as can be."""
    prepare(client)
    sessions = [client.session() for _ in range(3)]
    done: Counter[str] = Counter()
    for number in range(rounds):
        rng = random.Random(f"{seed}.{number}")
        dags = [random_dag(rng, MOST_TASKS) for _ in range(AT_A_TIME)]
        try:
            done += run_jobs(client, sessions, dags, f"{seed}.{number}")
        except AssertionError as error:
            dag, said = _shrunk(client, sessions, dags)
            raise AssertionError(
                f"seed {seed}, round {number}: {error}\n\nas small as it gets:\n{dag}\n{said}"
            ) from error
    return done


def run_jobs(client: Client, sessions: list[Client], dags: list[Dag], seed: str) -> Counter[str]:
    """Jobs of these plans at a time, to their ends."""
    rng = random.Random(seed)
    types = client.value("select count(distinct job_type) from stagebus_data.plans")
    works = [
        Work(dag, submit(client, dag, f"dag_{types + number}", rng), asked=number % 4 < 3)
        for number, dag in enumerate(dags)
    ]
    running = list(works)
    for _ in range(STEPS):
        if not running:
            break
        work = rng.choice(running)
        what = rng.random()
        if what < 0.45:
            work.step(client, rng)
        elif what < 0.85:
            if work.is_to_be_advanced(client):
                advance(rng, sessions, work)
        elif what < 0.95:
            work_some_orders(client, rng)
        elif client.maintain() is not None and work.over(client):
            running.remove(work)
    for work in works:
        try:
            assert work not in running, "it never ended"
            check(client, work)
        except AssertionError as error:
            raise AssertionError(explain(client, work, error)) from error
    check_nothing_is_left(client)
    return sum((work.done for work in works), Counter[str]())


def advance(rng: random.Random, sessions: list[Client], work: Work) -> None:
    """By one, or by two at once, or undone; or while workers go on, who wait for nobody."""
    first, second = rng.sample(sessions, 2)
    how = rng.random()
    if how < 0.5:
        _assert_advanced(first, work.job_id)
    elif how < 0.8:
        with first.transaction(roll_back=rng.random() < 0.5):
            _assert_advanced(first, work.job_id)
            assert second.advance_job(work.job_id).status == "busy"
            # The last end of a cancelled job asks for the job.
            if work.cancelled_by is None:
                second.execute("set lock_timeout = '1s'")
                work.end_some(second, rng)
    else:
        together = first.in_background(lambda: first.advance_job(work.job_id))
        second.advance_job(work.job_id)
        together.result()
    work.done["advance"] += 1


def _assert_advanced(session: Client, job_id: UUID) -> None:
    done = session.advance_job(job_id)
    assert done.status in ("advanced", "nothing to make"), session.job(job_id).error or done


def work_some_orders(client: Client, rng: random.Random) -> None:
    """Some steps of them, small or large."""
    for order_id in client.column("select * from stagebus.working_orders()"):
        if rng.random() < 0.7:
            client.execute("select stagebus.work_order(%s, %s)", order_id, rng.choice([3, 10_000]))


def _shrunk(client: Client, sessions: list[Client], dags: list[Dag]) -> tuple[Dag | None, str]:
    """One plan of them that fails alone, with as little in it as still does."""
    found, said = None, "none of them fails alone"
    tries = iter(dags)
    for _ in range(60):
        dag = next(tries, None)
        if dag is None:
            break
        if failure := _fails(client, sessions, dag):
            found, said, tries = dag, failure, smaller(dag)
    return found, said


def _fails(client: Client, sessions: list[Client], dag: Dag) -> str:
    for seed in range(3):
        # What the last one left behind is none of this one's.
        client.execute("truncate stagebus_data.jobs cascade")
        try:
            run_jobs(client, sessions, [dag], str(seed))
        except AssertionError as error:
            return str(error)
    return ""
