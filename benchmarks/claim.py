"""Does a claim take longer the more batches wait?

Two databases of one server, in which 100 and 100,000 batches wait; in each, 100,000 others are
queued already, so that PostgreSQL has the same plans. In each, in turn: a stage of four batches is
created, four batches are claimed (and timed) and finished, so that as many wait as before. A bridge
claims from the turn on to which the destination has come, and now and then looks at all of them (a
full look); both are timed. The sessions do not wait for the disk, which would hide a difference.

    python -m benchmarks.claim [--waiting 100 --waiting 100000] [--claims 500] [--rounds 3]
"""

from __future__ import annotations

import statistics
from contextlib import ExitStack
from datetime import timedelta
from uuid import uuid4

import click
import psycopg

from benchmarks.measure import Measured, over, program, ratios, seconds, short
from benchmarks.place import Connection, create, database
from bridge.migrate import migrate

#: As many as a bridge has lanes.
AT_ONCE = 4

CLAIM = """
select job_id, batch_id, claim_epoch
from stagebus.claim_batches(%s, %s, %s, %s)
"""

Claims = list[tuple[object, object, int]]


class Backlog:
    """A database in which so many batches wait and others are queued, of one task each."""

    def __init__(self, connection: Connection, waiting: int, queued: int) -> None:
        self._connection = connection
        self._bridge_id = uuid4()
        connection.execute("set synchronous_commit = off")
        connection.execute("select stagebus.set_task_type('tiny', batch_size => 1)")
        create(connection, queued, "tiny")
        connection.execute(
            "update stagebus_data.batches set state = 'queued', queued_at = clock_timestamp(),"
            " published_through = last_index"
        )
        create(connection, waiting, "tiny")
        connection.execute("vacuum (analyze) stagebus_data.batches")

    def claim(self, *, full: bool) -> float:
        """Milliseconds of a claim."""
        create(self._connection, AT_ONCE, "tiny")
        found: Claims = []

        def run() -> None:
            found.extend(
                self._connection.execute(
                    CLAIM,
                    (self._bridge_id, AT_ONCE, timedelta(minutes=1), int(not full)),
                ).fetchall()
            )

        took = seconds(run) * 1000
        assert len(found) == AT_ONCE
        for job_id, batch_id, epoch in found:
            self._connection.execute(
                "select stagebus.finish_batch(%s, %s, %s)", (job_id, batch_id, epoch)
            )
        return took


def one_round(backlogs: dict[int, Backlog], claims: int, *, full: bool) -> dict[str, float]:
    """The median of the claims of a round, for each backlog."""
    times: dict[int, list[float]] = {waiting: [] for waiting in backlogs}
    for _ in range(claims):
        for waiting, backlog in backlogs.items():
            times[waiting].append(backlog.claim(full=full))
    return {short(waiting): statistics.median(each) for waiting, each in times.items()}


@program
@click.option("--waiting", "sizes", multiple=True, default=[100, 100_000], show_default=True)
@click.option("--claims", default=500, show_default=True, help="Of a round.")
@click.option("--rounds", default=3, show_default=True)
def main(sizes: tuple[int, ...], claims: int, rounds: int) -> Measured:
    """Milliseconds of a claim, by how many batches wait."""
    with database() as server, ExitStack() as stack:
        backlogs = {}
        with psycopg.connect(server.url(), autocommit=True) as connection:
            for waiting in sizes:
                name = f"waiting_{waiting}"
                connection.execute(f"create database {name}")  # type: ignore[call-overload]
                migrate(server.url(name))
                other = stack.enter_context(psycopg.connect(server.url(name), autocommit=True))
                backlogs[waiting] = Backlog(other, waiting, max(sizes))
        one_round(backlogs, claims // 10 + 1, full=False)
        looks = [one_round(backlogs, claims, full=False) for _ in range(rounds)]
        full = [one_round(backlogs, claims // 5 + 1, full=True) for _ in range(rounds)]
    least, most = short(min(sizes)), short(max(sizes))
    measured: Measured = {}
    for name in (least, most):
        measured[f"claim_ms_at_{name}_batches"] = over([each[name] for each in looks], "ms")
        measured[f"full_look_ms_at_{name}_batches"] = over([each[name] for each in full], "ms")
    return measured | {
        f"claim_ratio_{most}_to_{least}": ratios(looks, most, least),
        f"full_look_ratio_{most}_to_{least}": ratios(full, most, least),
    }


if __name__ == "__main__":
    main()
