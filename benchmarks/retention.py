"""Does anybody notice that a week of finished tasks is removed?

A bridge publishes what a producer creates, stages of 1,000 tasks, as fast as both can. In each
round they do so twice, for as long: without anything else, and while that bridge removes a week in
which so many tasks have finished, in jobs of 1,000. How many tasks are published in a second, and
what the producer's longest statement took, which no lock can have held up for longer. At last a
week is dropped where nobody else is about, and that transaction timed: it holds its lock for less.

    python -m benchmarks.retention [--tasks 1000000] [--rounds 3]
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import click
import psycopg

from benchmarks.measure import Measured, over, percentile, program, ratios, seconds
from benchmarks.place import Connection, Place, create, place

#: Of each job, of the old ones too.
TASKS = 1000
KEEP = timedelta(days=30)
WEEK = timedelta(days=7)

#: Batches that may wait before the producer waits for the bridge.
AHEAD = 20

#: Of tens of millions of messages that nobody receives the endpoint keeps the last ones only.
FORGETFUL = ("--default-ttl", "20", "--duplicate-window", "20")

#: Seconds that do not count.
WARM = 5.0

#: As if workers had done all there was, and the jobs had ended then.
FINISH = """
with job as (
    update stagebus_data.jobs
    set state = 'completed', started_at = created_at, ended_at = created_at
    where ended_at is null and created_at < now() - interval '30 days'
    returning job_id, ended_at
), stage as (
    update stagebus_data.stages as s
    set state = 'completed', completed = task_count, open_groups = 0, ended_at = j.ended_at
    from job as j where s.job_id = j.job_id
), slot as (
    update stagebus_data.counter_slots as c set completed = open_tasks, open_tasks = 0
    from job as j where c.job_id = j.job_id
), batch as (
    update stagebus_data.batches as b
    set state = 'queued', queued_at = j.ended_at, published_through = last_index, send_count = 1
    from job as j where b.job_id = j.job_id
    returning b.job_id, b.batch_id, b.first_index, b.last_index, j.ended_at
), send as (
    insert into stagebus_data.sends (
        job_id, batch_id, send_no, dispatch, claim_epoch, claimed_by, first_index, last_index,
        messages, bytes, outcome, recorded_at)
    select job_id, batch_id, 1, 1, 1, batch_id, first_index, last_index,
        last_index - first_index + 1, 100000, 'accepted', ended_at
    from batch
)
update stagebus_data.tasks as t
set state = 'completed', token = gen_random_uuid(), result = '{"pixels": 65536}'
from job as j where t.job_id = j.job_id
"""


@dataclass
class Phase:
    """What a producer and a bridge did meanwhile."""

    tasks: int = 0
    length: float = 0.0
    statements: list[float] = field(default_factory=list)


def old_week(connection: Connection, tasks: int, weeks_ago: int) -> None:
    """A week in which so many tasks were made and finished."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    monday = today - timedelta(days=today.weekday()) - weeks_ago * WEEK
    connection.execute("insert into stagebus_data.test_clock (at) values (%s)", (monday,))
    with connection.transaction():
        # No bridge sees them before they are done.
        for _ in range(max(1, tasks // TASKS)):
            create(connection, TASKS, "old")
        connection.execute(FINISH)
        connection.execute("delete from stagebus_data.test_clock")
    connection.execute("vacuum (analyze) stagebus_data.tasks, stagebus_data.batches")
    connection.execute("checkpoint")


def produce(url: str, phase: Phase, stop: threading.Event) -> None:
    """Stage after stage, each statement timed."""
    with psycopg.connect(url, autocommit=True) as connection:
        began = time.monotonic()
        while not stop.is_set():
            phase.statements.append(seconds(lambda: create(connection, TASKS, "new")))
            while waiting(connection) > AHEAD and not stop.is_set():
                time.sleep(0.005)
        phase.length = time.monotonic() - began


def waiting(connection: Connection) -> int:
    return number(
        connection,
        "select count(*) from stagebus_data.batches"
        " where destination = 'tasks' and state = 'pending_queue'",
    )


def published(connection: Connection) -> int:
    return number(
        connection,
        "select coalesce(sum(messages), 0) from stagebus_data.sends"
        " where outcome = 'accepted' and recorded_at > now() - interval '1 day'",
    )


def number(connection: Connection, query: str) -> int:
    ((value,),) = connection.execute(query).fetchall()  # type: ignore[call-overload]
    return int(value)


def removing(connection: Connection) -> None:
    """Lets the bridge remove the old week, and waits until it has."""
    removed = "select count(*) from stagebus_data.removals where ended_at is not null"
    before = number(connection, removed)
    connection.execute("select stagebus.set_retention(%s)", (KEEP,))
    while number(connection, removed) == before:
        time.sleep(0.2)
    connection.execute("select stagebus.stop_retention()")


def one_round(at: Place, tasks: int, weeks_ago: int) -> dict[str, Phase]:
    """The removal first, since it says how long the other phase has to be."""
    phases = {"with": Phase(), "without": Phase()}
    old_week(at.connection, tasks, weeks_ago)
    run(at, phases["with"], lambda: removing(at.connection))
    run(at, phases["without"], lambda: time.sleep(phases["with"].length))
    return phases


def run(at: Place, phase: Phase, meanwhile: Callable[[], None]) -> None:
    """Stages are created and published until `meanwhile` returns."""
    stop = threading.Event()
    before = published(at.connection)
    producer = threading.Thread(target=produce, args=(at.server.url(), phase, stop))
    producer.start()
    meanwhile()
    phase.tasks = published(at.connection) - before
    stop.set()
    producer.join()
    at.wait_until_published()


def dropping(connection: Connection) -> float:
    """Milliseconds of the transaction that drops the partition of the expired week."""
    connection.execute("select stagebus.set_retention(%s)", (KEEP,))
    query = "select status from stagebus.drop_expired()"
    took = 0.0
    while True:
        began = time.perf_counter()
        ((status,),) = connection.execute(query).fetchall()
        if status == "nothing expired":
            return took * 1000
        if status == "dropped":
            took = max(took, time.perf_counter() - began)


@program
@click.option("--tasks", default=1_000_000, show_default=True)
@click.option("--rounds", default=3, show_default=True)
def main(tasks: int, rounds: int) -> Measured:
    """What removing a week of finished tasks costs those who create and publish meanwhile."""
    with place(endpoint_options=FORGETFUL) as at:
        at.connection.execute("select stagebus.set_task_type('old', batch_size => 100)")
        at.connection.execute("select stagebus.set_task_type('new', batch_size => 100)")
        with at.bridges():
            at.warm_up()
            run(at, Phase(), lambda: time.sleep(WARM))
            measured = [one_round(at, tasks, 10 + n) for n in range(rounds)]
        old_week(at.connection, tasks, 10 + rounds)
        drop_ms = dropping(at.connection)
    rates = [{key: p.tasks / p.length for key, p in phases.items()} for phases in measured]
    figures: Measured = {
        "retention_rate_ratio": ratios(rates, "with", "without"),
        "retention_drop_ms": over([drop_ms], "ms"),
        "retention_seconds": over([phases["with"].length for phases in measured], "s"),
    }
    for key in ("with", "without"):
        times = [[1000 * each for each in phases[key].statements] for phases in measured]
        figures[f"retention_longest_ms_{key}"] = over([max(each) for each in times], "ms")
        figures[f"retention_p99_ms_{key}"] = over([percentile(e, 99) for e in times], "ms")
    return figures


if __name__ == "__main__":
    main()
