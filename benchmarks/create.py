"""How much more than a raw insert does it cost to create a stage?

A: select create_stage_tasks(job, 1, 'h3_hexagon', N)
B: insert into tasks (job_id, stage, task_index) select …, i from generate_series(1, N) i

Both write the same rows into the same table, in one transaction, on an empty table and after a
checkpoint, A B A B …; each round is one A and one B, and the ratio is taken within the round.

    python -m benchmarks.create [--tasks 1000000] [--rounds 5]
"""

from __future__ import annotations

import json
import platform
import statistics
import time
from pathlib import Path

import click
import psycopg
from psycopg.rows import TupleRow

from bridge.local.postgres import temporary_postgres
from bridge.migrate import migrate

TABLES = "tasks, counter_slots, counter_groups, batches, stages, jobs"


def clean(connection: psycopg.Connection[TupleRow]) -> None:
    names = ", ".join(f"stagebus_data.{name.strip()}" for name in TABLES.split(","))
    connection.execute(f"truncate {names} cascade")
    connection.execute("checkpoint")


def create(connection: psycopg.Connection[TupleRow], tasks: int) -> float:
    clean(connection)
    started = time.perf_counter()
    with connection.transaction():
        connection.execute(
            "select stagebus.create_stage_tasks(stagebus.create_job('bench'), 1, 'h3_hexagon', %s)",
            (tasks,),
        )
    return time.perf_counter() - started


def raw(connection: psycopg.Connection[TupleRow], tasks: int) -> float:
    clean(connection)
    started = time.perf_counter()
    with connection.transaction():
        connection.execute(
            "insert into stagebus_data.tasks (job_id, stage, task_index)"
            " select j.job_id, 1, i from stagebus.new_job_id() as j (job_id),"
            " generate_series(1, %s) as i",
            (tasks,),
        )
    return time.perf_counter() - started


@click.command()
@click.option("--tasks", default=1_000_000, show_default=True)
@click.option("--rounds", default=5, show_default=True)
@click.option("--postgres", "version", type=int, default=18, show_default=True)
def main(tasks: int, rounds: int, version: int) -> None:
    """Measure and print; write build/bench-create.json."""
    with temporary_postgres(version, settings={"max_wal_size": "8GB"}) as server:
        migrate(server.url())
        with psycopg.connect(server.url(), autocommit=True) as connection:
            create(connection, tasks // 10)
            raw(connection, tasks // 10)
            pairs = [(create(connection, tasks), raw(connection, tasks)) for _ in range(rounds)]
    ratios = [ours / theirs for ours, theirs in pairs]
    result = {
        "create_ratio_to_raw": round(statistics.median(ratios), 3),
        "create_ratio_to_raw_spread": [round(min(ratios), 3), round(max(ratios), 3)],
        "create_rows_per_s": round(tasks / statistics.median(ours for ours, _ in pairs)),
        "raw_rows_per_s": round(tasks / statistics.median(theirs for _, theirs in pairs)),
        "tasks": tasks,
        "rounds": rounds,
        "postgresql": version,
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {platform.system()}",
    }
    Path("build").mkdir(exist_ok=True)
    Path("build/bench-create.json").write_text(json.dumps(result, indent=2) + "\n")
    for name, value in result.items():
        click.echo(f"{name:28} {value}")


if __name__ == "__main__":
    main()
