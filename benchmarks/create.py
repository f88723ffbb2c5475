"""How much more than a raw insert does it cost to create a stage?

ours: select create_stage_tasks(job, 1, 'h3_hexagon', N)
raw:  insert into tasks (job_id, stage, task_index) select …, i from generate_series(1, N) i

Both write the same rows into the same table, in one transaction, on an empty table and after a
checkpoint, in turn; the ratio is taken within each round.

    python -m benchmarks.create [--tasks 1000000] [--rounds 5]

Other ways to create tasks: benchmarks.create_peers.
"""

from __future__ import annotations

import click
import psycopg

from benchmarks.measure import Measured, over, paired, program, ratios, seconds
from benchmarks.place import Connection, clean, create, database
from bridge.local.postgres import DEFAULT_VERSION


def ours(connection: Connection, tasks: int) -> float:
    clean(connection)
    return seconds(lambda: create(connection, tasks))


def raw(connection: Connection, tasks: int) -> float:
    clean(connection)
    return seconds(
        lambda: connection.execute(
            "insert into stagebus_data.tasks (job_id, stage, task_index)"
            " select j.job_id, 1, i from stagebus.new_job_id() as j (job_id),"
            " generate_series(1, %s) as i",
            (tasks,),
        )
    )


@program
@click.option("--tasks", default=1_000_000, show_default=True)
@click.option("--rounds", default=5, show_default=True)
@click.option("--postgres", type=int, default=DEFAULT_VERSION, show_default=True)
def main(tasks: int, rounds: int, postgres: int) -> Measured:
    """The time of create_stage_tasks against that of a raw insert."""
    with (
        database(version=postgres) as server,
        psycopg.connect(server.url(), autocommit=True) as connection,
    ):
        times = paired(
            rounds,
            {"ours": lambda: ours(connection, tasks), "raw": lambda: raw(connection, tasks)},
        )
    return {
        "create_ratio_to_raw": ratios(times, "ours", "raw"),
        "create_rows_per_s": over([tasks / each["ours"] for each in times], "rows/s"),
        "raw_rows_per_s": over([tasks / each["raw"] for each in times], "rows/s"),
    }


if __name__ == "__main__":
    main()
