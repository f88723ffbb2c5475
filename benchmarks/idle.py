"""How many queries per second does a bridge cause that has nothing to do?

One bridge, connected, after a small stage; then nothing happens. What is counted are the
transactions of its database (pg_stat_database), each of which is one query, since a bridge works in
autocommit mode; this program asks through another database, and autovacuum is off.

    python -m benchmarks.idle [--length 30] [--rounds 1]
"""

from __future__ import annotations

import time

import click
import psycopg

from benchmarks.measure import Measured, over, program
from benchmarks.place import Connection, Place, place

#: Seconds after which the intervals of a bridge that ran dry are as long as they get, and its
#: sessions have told what they did before.
SETTLED = 12.0


def transactions(connection: Connection) -> int:
    ((count,),) = connection.execute(
        "select xact_commit + xact_rollback from pg_stat_database where datname = 'postgres'"
    ).fetchall()
    return int(count)


def one_round(here: Place, length: float) -> float:
    """Queries per second."""
    with (
        psycopg.connect(here.server.url("template1"), autocommit=True) as connection,
        here.bridges(),
    ):
        here.warm_up()
        # This session tells what it did when it ends, or is idle for long.
        here.connection.execute("select pg_stat_force_next_flush()")
        time.sleep(SETTLED)
        before, began = transactions(connection), time.monotonic()
        time.sleep(length)
        return (transactions(connection) - before) / (time.monotonic() - began)


@program
@click.option("--length", default=30.0, show_default=True, help="Seconds.")
@click.option("--rounds", default=1, show_default=True)
def main(length: float, rounds: int) -> Measured:
    """Queries per second of an idle bridge."""
    with place({"autovacuum": "off"}) as here:
        return {
            "idle_queries_per_s": over(
                [one_round(here, length) for _ in range(rounds)], "queries/s"
            )
        }


if __name__ == "__main__":
    main()
