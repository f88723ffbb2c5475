"""How soon does a job advance, and what does it cost to make a stage from a million results?

Three questions, each over a database of its own on one server, advanced as a bridge does it:

1. `advance_1000_jobs_ms`: of a thousand jobs of one plan the first stages end at the same moment.
   How long after that commit is that of each one's second stage? `create_1000_stages_ms`: and how
   long do as many such stages take, by `create_stage_tasks` over as many connections, of jobs that
   have no plan?
2. `advance_1m_begin_ms`: a stage of 1,000 tasks ends; the next one has a task for each of a million
   objects that a plan's function returns. How long after that commit is it begun?
3. `advance_ratio_to_raw`: a stage of a million tasks has ended, each with a result; the next one
   has a task for each object that a function makes of a result. What does making it cost, against
   `insert … select` of the same function's objects into the same table, in turn, the ratio taken
   within each round? `advance_generated_ratio_to_raw`: likewise for a function that reads nothing.

    python -m benchmarks.advance [--jobs 1000] [--tasks 1000000] [--rounds 3]
"""

from __future__ import annotations

import asyncio
import statistics
import time
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID, uuid4

import click
import psycopg
from psycopg.types.json import Jsonb

from benchmarks.measure import (
    Measured,
    once,
    paired,
    percentile,
    program,
    ratios,
    seconds,
    short,
)
from benchmarks.place import Connection, clean, database
from bridge import listener
from bridge.advancing import LANES, Advancing
from bridge.house_keeping import HouseKeeping
from bridge.migrate import migrate
from bridge.witness import Witness

FUNCTION = """
create schema gis;
grant usage on schema gis to stagebus_nobody;
create function gis.tiles(p_job_id uuid, p_parameters jsonb) returns setof jsonb
language sql security definer set search_path = gis, pg_temp as $$
    select jsonb_build_object('x', n % 1000, 'y', n / 1000, 'zoom', 10)
    from generate_series(1, (p_parameters ->> 'tiles')::integer) as n;
$$;
create function gis.of_results(p_job_id uuid, p_parameters jsonb) returns setof jsonb
language sql security definer set search_path = gis, stagebus, pg_temp as $$
    select jsonb_build_object('tile', r.result -> 'tile', 'parent', r.task_index)
    from stage_results_by_name(p_job_id, 'a') as r;
$$;
"""

SMALL = [
    {"name": "a", "task_type": "h3_hexagon", "count": 1},
    {"name": "b", "task_type": "h3_hexagon", "count": 1},
]

LARGE = [
    {"name": "a", "task_type": "h3_hexagon", "count": 1000},
    {"name": "b", "task_type": "h3_hexagon", "tasks": "gis.tiles"},
]

OF_RESULTS = [
    {"name": "a", "task_type": "h3_hexagon", "count": "$.parameters.tiles"},
    {"name": "b", "task_type": "h3_hexagon", "tasks": "gis.of_results"},
]

#: As if workers had completed the first stage of a job, whose next one is due with it.
END_FIRST_STAGE = """
with done as (
    update stagebus_data.tasks
    set state = 'completed', token = gen_random_uuid(),
        result = jsonb_build_object('tile', 'z10/' || task_index, 'pixels', 65536)
    where job_id = %(job_id)s
), ended as (
    update stagebus_data.stages set state = 'completed', completed = task_count, ended_at = now()
    where job_id = %(job_id)s
)
insert into stagebus_data.due_advances (job_id, stage, planned, due_since)
values (%(job_id)s, 1, true, now())
"""


async def advancing(url: str, until: Any) -> None:
    """A bridge's part that advances jobs, until the condition holds."""
    wake = asyncio.Event()
    witness = Witness(uuid4())
    databases = [HouseKeeping(url, "advancing", witness) for _ in range(LANES)]
    tasks = [
        asyncio.create_task(listener.run(url, {listener.JOBS: wake})),
        asyncio.create_task(Advancing(databases, wake).run()),
    ]
    await until()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def end_first_stages(connection: Connection, jobs: list[UUID]) -> None:
    """All tasks of the first stages, in one call of a worker."""
    ids, nonces = [], []
    for task_id, nonce in connection.execute(
        "select t.job_id || '-s1-' || t.task_index, s.nonce from stagebus_data.tasks as t"
        " join stagebus_data.stages as s using (job_id, stage) where t.job_id = any (%s)",
        (jobs,),
    ).fetchall():
        ids.append(task_id)
        nonces.append(nonce)
    token = uuid4()
    connection.execute(
        "select count(*) from stagebus.start_tasks(%s, %s::integer[], %s, %s)",
        (ids, [1] * len(ids), nonces, token),
    )
    connection.execute("select count(*) from stagebus.complete_tasks(%s, %s)", (ids, token))


def wait_for_stages(connection: Connection, stage: int, jobs: int) -> None:
    query = "select count(*) from stagebus_data.stages where stage = %s"
    while connection.execute(query, (stage,)).fetchone() != (jobs,):
        time.sleep(0.2)


#: From the commit that ends a first stage to that of the second, or to its beginning, in ms.
WAITS = """
select extract(epoch from {} - pg_xact_commit_timestamp(a.xmin)) * 1000
from stagebus_data.stages as a
join stagebus_data.stages as b on b.job_id = a.job_id and b.stage = 2
where a.stage = 1
"""


def run(
    url: str, plan: list[dict[str, Any]], jobs: int, parameters: dict[str, Any], until: str
) -> list[float]:
    """The waits of so many jobs of the plan, whose first stages end in one transaction."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "select stagebus.define_job_type('bench', %s)", (Jsonb({"stages": plan}),)
        )

        async def all_began() -> None:
            ids = [
                connection.execute(
                    "select stagebus.submit_job('bench', %s)", (Jsonb(parameters),)
                ).fetchone()[0]  # type: ignore[index]
                for _ in range(jobs)
            ]
            await asyncio.to_thread(wait_for_stages, connection, 1, jobs)
            await asyncio.to_thread(end_first_stages, connection, ids)
            await asyncio.to_thread(wait_for_stages, connection, 2, jobs)

        asyncio.run(advancing(url, all_began))
        waits = connection.execute(WAITS.format(until)).fetchall()  # type: ignore[arg-type]
        return sorted(float(row[0]) for row in waits)


def create_stages(url: str, jobs: int) -> float:
    """Seconds of as many calls as jobs, over as many connections as a bridge advances with."""

    async def lane(connection: psycopg.AsyncConnection[Any]) -> None:
        while ids:
            await connection.execute(
                "select tasks from stagebus.create_stage_tasks(%s, 1, 'h3_hexagon', 1)",
                (ids.pop(),),
            )

    async def work() -> float:
        async with AsyncExitStack() as stack:
            connections = [
                await stack.enter_async_context(
                    await psycopg.AsyncConnection.connect(url, autocommit=True)
                )
                for _ in range(LANES)
            ]
            for connection in connections:
                await connection.execute("set synchronous_commit = off")
            start = time.perf_counter()
            await asyncio.gather(*(lane(connection) for connection in connections))
            return time.perf_counter() - start

    with psycopg.connect(url, autocommit=True) as connection:
        ids = [
            connection.execute("select stagebus.create_job('x')").fetchone()[0]  # type: ignore[index]
            for _ in range(jobs)
        ]
    return asyncio.run(work())


def submitted(connection: Connection, tasks: int, *, results: bool) -> UUID:
    """The only job; its next stage has a task for each of so many objects, or results."""
    clean(connection)
    ((job_id,),) = connection.execute(
        "select stagebus.submit_job(%s, %s)",
        ("of_results" if results else "generated", Jsonb({"tiles": tasks})),
    ).fetchall()
    if results:
        connection.execute("select stagebus.advance_job(%s)", (job_id,))
        connection.execute(END_FIRST_STAGE, {"job_id": job_id})
        connection.execute("vacuum (analyze) stagebus_data.tasks")
        connection.execute("checkpoint")
    return UUID(str(job_id))


def ours(connection: Connection, tasks: int, *, results: bool = False) -> float:
    """Seconds of making the stage by advance_job."""
    job_id = submitted(connection, tasks, results=results)
    return seconds(lambda: connection.execute("select stagebus.advance_job(%s)", (job_id,)))


def raw(connection: Connection, tasks: int, *, results: bool = False) -> float:
    """Seconds of inserting the same objects."""
    job_id = submitted(connection, tasks, results=results)
    function = "of_results" if results else "tiles"
    insert = (
        "insert into stagebus_data.tasks (job_id, stage, task_index, parameters)"
        " select j.job_id, 1, f.number, f.task from stagebus.new_job_id() as j (job_id),"
        f" gis.{function}(%s, %s) with ordinality as f (task, number)"
    )
    arguments = (job_id, Jsonb({"tiles": tasks}))
    return seconds(lambda: connection.execute(insert, arguments))  # type: ignore[call-overload]


@program
@click.option("--jobs", default=1000, show_default=True)
@click.option("--tasks", default=1_000_000, show_default=True)
@click.option("--rounds", default=3, show_default=True)
def main(jobs: int, tasks: int, rounds: int) -> Measured:
    """How soon jobs advance, and what making a planned stage costs."""
    with database({"track_commit_timestamp": "on"}) as server:
        urls = {}
        with psycopg.connect(server.url(), autocommit=True) as connection:
            for name in ("small", "large", "pairs"):
                connection.execute(f"create database {name}")  # type: ignore[call-overload]
                urls[name] = server.url(name)
        for url in urls.values():
            migrate(url)
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(FUNCTION)
        waits = run(urls["small"], SMALL, jobs, {}, "pg_xact_commit_timestamp(b.xmin)")
        creation = create_stages(urls["small"], jobs)
        (begin,) = run(urls["large"], LARGE, 1, {"tiles": tasks}, "b.created_at")
        with psycopg.connect(urls["pairs"], autocommit=True) as connection:
            for name, stages in (("generated", [LARGE[1]]), ("of_results", OF_RESULTS)):
                connection.execute(
                    "select stagebus.define_job_type(%s, %s)", (name, Jsonb({"stages": stages}))
                )
            pairs = paired(
                rounds,
                {
                    "ours": lambda: ours(connection, tasks, results=True),
                    "raw": lambda: raw(connection, tasks, results=True),
                    "ours generated": lambda: ours(connection, tasks),
                    "raw generated": lambda: raw(connection, tasks),
                },
            )
    return {
        f"advance_{jobs}_jobs_ms_p50": once(statistics.median(waits), "ms"),
        f"advance_{jobs}_jobs_ms_p99": once(percentile(waits, 99), "ms"),
        f"advance_{jobs}_jobs_ms_max": once(waits[-1], "ms"),
        f"create_{jobs}_stages_ms": once(creation * 1000, "ms"),
        f"advance_{short(tasks)}_begin_ms": once(begin, "ms"),
        "advance_ratio_to_raw": ratios(pairs, "ours", "raw"),
        "advance_generated_ratio_to_raw": ratios(pairs, "ours generated", "raw generated"),
    }


if __name__ == "__main__":
    main()
