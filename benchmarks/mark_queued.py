"""How many rows are written to mark a batch of 10,000 tasks queued?

A real bridge claims, sends, records and finishes one batch; PostgreSQL counts the rows inserted,
updated and deleted in each of our tables meanwhile (pg_stat_user_tables). No task's row is to be
among them, and at most two rows per send and two more. Not among them is what a bridge writes
however much it publishes: that it is there, every ten seconds, and how far a destination has come,
once a second at most. There is nothing to repeat: the number of sends follows from the size of the
messages.

    python -m benchmarks.mark_queued [--tasks 10000]
"""

from __future__ import annotations

import click

from benchmarks.measure import Measured, once, program, say
from benchmarks.place import Place, place

#: Tables that are written as time goes by, not as batches do.
BY_TIME = {"bridges", "destinations"}

_WRITTEN = """
select relname, n_tup_ins + n_tup_upd + n_tup_del
from pg_stat_user_tables where schemaname = 'stagebus_data'
"""


def written(here: Place) -> dict[str, int]:
    """Rows written so far, by table; those of sessions that have ended are all counted."""
    here.connection.execute("select pg_stat_force_next_flush()")
    here.connection.execute("select pg_stat_clear_snapshot()")
    return {row[0]: int(row[1]) for row in here.connection.execute(_WRITTEN).fetchall()}


@program
@click.option("--tasks", type=click.IntRange(1, 10_000), default=10_000, show_default=True)
def main(tasks: int) -> Measured:
    """Rows written from the claim of a batch to its end."""
    with place() as here:
        job_id = here.create(tasks)
        before = written(here)
        with here.bridges():
            here.wait_until_published()
        here.last_acceptance(job_id)
        after = written(here)
        changes = {name: after[name] - rows for name, rows in before.items() if after[name] > rows}
        ((sends,),) = here.connection.execute("select count(*) from stagebus_data.sends").fetchall()
    say(f"rows written, by table: {changes}")
    rows = {name: change for name, change in changes.items() if name not in BY_TIME}
    assert rows["sends"] == sends, "all that the bridge wrote is counted"
    return {
        "rows_written_to_mark_queued": once(sum(rows.values()), "rows"),
        "task_rows_written_to_mark_queued": once(
            sum(change for name, change in rows.items() if name.startswith("tasks")), "rows"
        ),
        "sends_of_the_batch": once(sends, "sends"),
    }


if __name__ == "__main__":
    main()
