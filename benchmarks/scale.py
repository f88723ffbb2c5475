"""Does anything grow faster than what there is of it?

tasks       of one stage: creating, publishing, and completing a sample of 1,000
batches     that wait: claiming
jobs        among which as many tasks are divided: creating, publishing
parameters  of each task, in bytes: creating, publishing
bridges     publishing the same
finished    tasks of earlier jobs: creating, publishing, completing a sample of 1,000

Each in turn over all sizes, the median of some rounds after one that does not count; sizes above a
million once, after all the others. The exponent of a curve is that of its steepest step: 1 is
linear growth, and no step may be steeper but for noise. What must not grow at all is a claim with
batches that wait, and everything with tasks that are finished: at the most it may take half as long
again as at the least (for claims: as with 100).

    python -m benchmarks.scale [--most 10000000] [--rounds 3] [--only tasks]
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import pairwise
from uuid import UUID, uuid4

import click
import psycopg

from benchmarks.claim import Backlog
from benchmarks.claim import one_round as claims_of
from benchmarks.measure import Measured, Series, once, paired, program, say, seconds, short
from benchmarks.place import Place, clean, place
from bridge.local.endpoint.process import run_endpoint
from bridge.migrate import migrate

#: What noise may add to an exponent.
NOISE = 0.15

#: How much longer that may take which should not grow.
LONGER = 1.5

#: Sizes above are measured once: creating ten million tasks takes half a minute.
OFTEN = 1_000_000

#: More batches do not wait: a hundred thousand of them have a thousand million tasks.
MOST_BATCHES = 100_000

#: Tasks of a job that is finished.
FINISHED = 100_000

SAMPLE = 1000
CLAIMS = 100

#: As if workers had completed all tasks.
FINISH = """
with done as (
    update stagebus_data.tasks set state = 'completed', token = gen_random_uuid()
    where job_id = %(job_id)s
), counted as (
    update stagebus_data.counter_slots set completed = open_tasks, open_tasks = 0
    where job_id = %(job_id)s
), sent as (
    update stagebus_data.batches
    set state = 'queued', queued_at = clock_timestamp(), published_through = last_index
    where job_id = %(job_id)s
), ended as (
    update stagebus_data.stages set state = 'completed', completed = task_count, ended_at = now()
    where job_id = %(job_id)s
)
update stagebus_data.jobs set state = 'completed', ended_at = now() where job_id = %(job_id)s
"""

SAMPLED = """
select s.job_id || '-s1-' || 1 + (nth * (s.task_count::bigint - 1)) / (%(sample)s - 1), s.nonce
from stagebus_data.stages as s
cross join generate_series(0, %(sample)s - 1) as nth
where s.job_id = %(job_id)s and s.stage = 1
order by nth
"""

Points = list[tuple[float, float]]
Curves = dict[str, Points]
Ways = dict[str, Callable[[int], float]]


def curves(sizes: Sequence[int], ways: Ways, rounds: int) -> Curves:
    """The median seconds of each way at each size."""

    def part(way: str, size: int) -> Callable[[], float]:
        return lambda: ways[way](size)

    few = [size for size in sizes if size <= OFTEN]
    often = paired(rounds, {f"{way} {size}": part(way, size) for size in few for way in ways})
    return {
        way: [
            (size, statistics.median(each[f"{way} {size}"] for each in often))
            if size in few
            else (size, ways[way](size))
            for size in sizes
        ]
        for way in ways
    }


def publishing(here: Place, make: Callable[[], Sequence[UUID]], bridges: int = 1) -> float:
    """Over an endpoint of its own: one keeps all that it was ever sent."""
    with run_endpoint(["tasks", "jobs"]) as endpoint:
        return here.publishing_time_of(make, bridges, connection_string=endpoint.connection_string)


def creating(here: Place, make: Callable[[], object]) -> float:
    clean(here.connection)
    return seconds(make)


def completing(here: Place, tasks: int) -> float:
    """Seconds of starting and completing a sample of a stage, a hundred at a time."""
    clean(here.connection)
    job_id = here.create(tasks)
    here.connection.execute("vacuum (analyze) stagebus_data.tasks, stagebus_data.counter_slots")
    return completing_of(here, job_id)


def completing_of(here: Place, job_id: UUID) -> float:
    rows = here.connection.execute(SAMPLED, {"job_id": job_id, "sample": SAMPLE}).fetchall()
    assert len(rows) == SAMPLE

    def run() -> None:
        for first in range(0, SAMPLE, 100):
            part, token = rows[first : first + 100], uuid4()
            ids = [row[0] for row in part]
            here.connection.execute(
                "select count(*) from stagebus.start_tasks(%s, %s::integer[], %s, %s)",
                (ids, [1] * len(ids), [row[1] for row in part], token),
            )
            here.connection.execute(
                "select count(*) from stagebus.complete_tasks(%s, %s)", (ids, token)
            )

    return seconds(run)


def by_tasks(here: Place, most: int, rounds: int) -> Curves:
    return curves(
        powers(1000, most),
        {
            "create": lambda tasks: creating(here, lambda: here.create(tasks)),
            "publish": lambda tasks: publishing(here, lambda: [here.create(tasks)]),
            "complete 1,000": lambda tasks: completing(here, tasks),
        },
        rounds,
    )


def by_jobs(here: Place, most: int, rounds: int) -> Curves:
    tasks = max(1000, most // 10)

    def make(jobs: int) -> list[UUID]:
        return [here.create(tasks // jobs) for _ in range(jobs)]

    return curves(
        [1, 10, 1000],
        {
            "create": lambda jobs: creating(here, lambda: make(jobs)),
            "publish": lambda jobs: publishing(here, lambda: make(jobs)),
        },
        rounds,
    )


def by_parameters(here: Place, most: int, rounds: int) -> Curves:
    tasks = max(100, most // 1000)
    query = "select jsonb_build_object('pad', repeat('x', {0})) from generate_series(1, {1})"

    def make(size: int) -> list[UUID]:
        ((job_id,),) = here.connection.execute(
            "select made.job_id from stagebus.create_job('bench') as made (job_id),"
            " stagebus.create_stage_tasks_from_query(made.job_id, 1, 'h3_hexagon', %s)",
            (query.format(size, tasks),),
        ).fetchall()
        return [UUID(str(job_id))]

    return curves(
        [100, 1000, 10_000],
        {
            "create": lambda size: creating(here, lambda: make(size)),
            "publish": lambda size: publishing(here, lambda: make(size)),
        },
        rounds,
    )


def by_bridges(here: Place, most: int, rounds: int) -> Curves:
    tasks = max(1000, most // 10)
    return curves(
        [1, 2, 4],
        {"publish": lambda bridges: publishing(here, lambda: [here.create(tasks)], bridges)},
        rounds,
    )


def by_finished(_: Place, most: int, rounds: int) -> Curves:
    """A server for each size: what is finished stays."""
    tasks = max(1000, most // 100)
    sizes = powers(max(1000, most // 100), most)
    found: Curves = {"create": [], "publish": [], "complete 1,000": []}
    for size in sizes:
        with place() as here:
            jobs = max(1, size // FINISHED)
            for _ in range(jobs):
                job_id = here.create(size // jobs)
                here.connection.execute(FINISH, {"job_id": job_id})
            here.connection.execute("vacuum (analyze)")
            here.connection.execute("checkpoint")
            measured = paired(
                rounds,
                {
                    "create": lambda here=here: seconds(lambda: here.create(tasks)),
                    "publish": lambda here=here: here.publishing_time_beside(
                        lambda: [here.create(tasks)]
                    ),
                    "complete 1,000": lambda here=here: completing_of(here, here.create(tasks)),
                },
            )
            for way, points in found.items():
                points.append((size, statistics.median(each[way] for each in measured)))
    return found


def by_batches(here: Place, most: int, rounds: int) -> Curves:
    """A database for each size, as in benchmarks.claim; seconds of a claim."""
    backlogs = {}
    with ExitStack() as stack:
        sizes = powers(1, min(MOST_BATCHES, most // 10))
        for waiting in sizes:
            name = f"waiting_{waiting}"
            here.connection.execute(f"create database {name}")  # type: ignore[call-overload]
            url = here.server.url(name)
            migrate(url)
            connection = stack.enter_context(psycopg.connect(url, autocommit=True))
            backlogs[waiting] = Backlog(connection, waiting, max(sizes))
        measured = [claims_of(backlogs, CLAIMS, full=False) for _ in range(rounds + 1)][1:]
    return {
        "claim": [
            (waiting, statistics.median(each[short(waiting)] for each in measured) / 1000)
            for waiting in backlogs
        ]
    }


PARTS: dict[str, Callable[[Place, int, int], Curves]] = {
    "tasks": by_tasks,
    "batches": by_batches,
    "jobs": by_jobs,
    "parameters": by_parameters,
    "bridges": by_bridges,
    "finished": by_finished,
}


def powers(first: int, last: int) -> list[int]:
    """By tens."""
    return [first * 10**power for power in range(round(math.log10(last / first)) + 1)]


def exponent(points: Points) -> float:
    """That of the steepest step."""
    return max(math.log(y2 / y1) / math.log(x2 / x1) for (x1, y1), (x2, y2) in pairwise(points))


def judged(part: str, found: Curves) -> Measured:
    """The exponents; says of each whether it holds."""
    measured: Measured = {f"scale_{part}": Series(part, "seconds", found)}
    for way, points in found.items():
        value = exponent(points)
        holds = "holds" if value <= 1 + NOISE else "DOES NOT HOLD"
        say(f"{way} by {part}: at most linear {holds} (exponent {value:.2f})")
        measured[f"scale_{part}_{way.split()[0]}_exponent"] = once(value)
        if part in ("batches", "finished"):
            times = dict(points)
            most, least = int(max(times)), 100 if part == "batches" else int(min(times))
            ratio = times[most] / times[least]
            holds = "holds" if ratio <= LONGER else "DOES NOT HOLD"
            sizes = f"{short(most)}_to_{short(least)}"
            say(f"{way} by {part}, {sizes}: at most {LONGER} × {holds} ({ratio:.2f})")
            measured[f"scale_{part}_{way.split()[0]}_ratio_{sizes}"] = once(ratio, "×")
    return measured


@program
@click.option("--most", default=10_000_000, show_default=True, help="Tasks of the largest stage.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--only", type=click.Choice(list(PARTS)), multiple=True, help="These parts.")
def main(most: int, rounds: int, only: tuple[str, ...]) -> Measured:
    """Curves of growth, and whether they are at most linear."""
    measured: Measured = {}
    with place() as here:
        for part in only or PARTS:
            say(f"--- by {part}")
            measured |= judged(part, PARTS[part](here, most, rounds))
    return measured


if __name__ == "__main__":
    main()
