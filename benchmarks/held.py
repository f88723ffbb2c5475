"""Does a transaction that somebody forgets to end slow publishing and completing down?

Jobs of small stages are created and published, by a real bridge to the local endpoint, while
sixteen clients complete the tasks of another stage, each call a transaction of its own. Three
times, on a new server each time:

    offered    1,000 tasks per second to each of the two, while held
    free       both as fast as can be
    held       the same, while held

Held: another session keeps a repeatable read transaction open from before the first task to after
the last, so that no row version that dies meanwhile is cleaned up. Everything is noted per bucket
of time; calls and their times are those that PostgreSQL counts (track_functions), messages those
that the endpoint has stored.

    python -m benchmarks.held [--minutes 10] [--only offered]
    python -m benchmarks.held --minutes 0.5 --bucket 5      # to see that it works
"""

from __future__ import annotations

import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import click
import psycopg

from benchmarks.complete import CLIENTS, SCAFFOLD, TOKEN, held, stage_in_work
from benchmarks.measure import Measured, Series, once, program, say
from benchmarks.place import Connection, create, place
from bridge.local.endpoint.process import RunningEndpoint
from bridge.local.postgres import server_binaries

OFFERED = 1000.0
PHASES = ("offered", "free", "held")

#: Tasks of a stage that is published, all in one batch, where a rate is offered; and at full rate,
#: where a stage has more batches so that its creation does not count.
BATCH = 50
BATCHES_AT_FULL_RATE = 100

#: Tasks that wait to be published at least, at full rate.
BACKLOG = 5000

#: Seconds before the first bucket.
WARM_UP = 5.0

#: A client that has done all of its share does nothing more.
COMPLETE = """
\\set nth :nth + 1
select stagebus.complete_task(task_ids[1], '{token}')
from bench.work where client = :client_id and nth = :nth;
"""

#: What is timed, by the name it has in the output.
FUNCTIONS = {
    "claim": "claim_batches",
    "read": "batch_messages",
    "record": "record_send",
    "finish": "finish_batch",
    "complete": "complete_task",
    "create": "create_stage_tasks",
}

_CALLS = """
select funcname, sum(calls), sum(total_time)
from pg_stat_user_functions where schemaname = 'stagebus' group by funcname
"""


@dataclass(frozen=True)
class Look:
    """All counters at one time."""

    at: float
    created: int
    stored: int
    calls: Mapping[str, tuple[int, float]]
    """By function: how many, and their milliseconds."""

    def since(self, before: Look) -> dict[str, float]:
        """What happened per second between two looks, and the milliseconds of a call."""
        seconds = self.at - before.at
        bucket: dict[str, float] = {
            "created_per_s": round((self.created - before.created) / seconds, 1),
            "published_per_s": round((self.stored - before.stored) / seconds, 1),
            "unpublished": self.created - self.stored,
        }
        for name, function in FUNCTIONS.items():
            calls, spent = self.calls.get(function, (0, 0.0))
            earlier, spent_earlier = before.calls.get(function, (0, 0.0))
            done = calls - earlier
            bucket[f"{name}s_per_s"] = round(done / seconds, 1)
            bucket[f"{name}_ms"] = round((spent - spent_earlier) / done, 3) if done else 0.0
        return bucket


@dataclass
class Producer:
    """Creates jobs in a thread until it is told that it is over."""

    url: str
    endpoint: RunningEndpoint
    rate: float | None
    """Tasks per second; None: as many as are published."""
    created: int = 0
    failure: list[psycopg.Error] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def producing(self) -> Iterator[None]:
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()
        if self.failure:
            raise self.failure[0]

    def _run(self) -> None:
        try:
            with psycopg.connect(self.url, autocommit=True) as connection:
                (self._at_rate if self.rate else self._at_full_rate)(connection)
        except psycopg.Error as error:
            self.failure.append(error)

    def _at_rate(self, connection: Connection) -> None:
        assert self.rate
        began = time.monotonic()
        while True:
            due = began + self.created / self.rate - time.monotonic()
            if self._over.wait(max(0.0, due)):
                return
            self._create(connection, BATCH)

    def _at_full_rate(self, connection: Connection) -> None:
        while not self._over.is_set():
            if self.created - stored(self.endpoint) < BACKLOG:
                self._create(connection, BATCH * BATCHES_AT_FULL_RATE)
            else:
                self._over.wait(0.05)

    def _create(self, connection: Connection, tasks: int) -> None:
        create(connection, tasks, "small")
        self.created += tasks


def stored(endpoint: RunningEndpoint) -> int:
    return endpoint.counts()["entities"]["tasks"]["stored"]


def run_phase(name: str, length: float, bucket: float, fastest: float) -> list[dict[str, float]]:
    """One of PHASES; a row for each bucket."""
    offered = OFFERED if name == "offered" else None
    with ExitStack() as stack:
        here = stack.enter_context(place({"track_functions": "pl"}))
        url, connection, endpoint = here.server.url(), here.connection, here.endpoint
        prepare(connection, round((offered or fastest) * 1.1 * (length + WARM_UP + bucket)))
        if name != "free":
            stack.enter_context(held(url))
        producer = Producer(url, endpoint, offered)
        (process,) = stack.enter_context(here.bridges())
        stack.enter_context(producer.producing())
        stack.enter_context(completing(url, length + WARM_UP + bucket, offered))

        def look() -> Look:
            rows = connection.execute(_CALLS).fetchall()
            calls = {row[0]: (int(row[1]), float(row[2])) for row in rows}
            return Look(time.monotonic(), producer.created, stored(endpoint), calls)

        time.sleep(WARM_UP)
        looks = [look()]
        began = looks[0].at
        rows: list[dict[str, float]] = []
        while looks[-1].at - began < length - bucket / 2:
            time.sleep(began + len(looks) * bucket - time.monotonic())
            assert process.poll() is None, "the bridge lives"
            looks.append(look())
            rows.append({"at_s": round(looks[-1].at - began), **looks[-1].since(looks[-2])})
            say(_line(rows[-1]))
        return rows


def prepare(connection: Connection, tasks: int) -> None:
    """A stage whose tasks run and are to be completed; a task type for those to be published."""
    connection.execute(SCAFFOLD)
    stage_in_work(connection, tasks, 1)
    # Its messages are not what is published.
    connection.execute(
        "update stagebus_data.batches set state = 'queued', queued_at = clock_timestamp(),"
        " published_through = last_index"
    )
    connection.execute("select stagebus.set_task_type('small', batch_size => %s)", (BATCH,))
    connection.execute("vacuum (analyze)")


@contextmanager
def completing(url: str, seconds: float, offered: float | None) -> Iterator[None]:
    """Clients that complete, for at most so long."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(COMPLETE.format(token=TOKEN))
        file.flush()
        command = [str(server_binaries() / "pgbench"), "--no-vacuum", "--protocol=prepared"]
        command += [f"--client={CLIENTS}", "--jobs=2", f"--time={seconds:.0f}", "--define=nth=0"]
        command += [f"--file={file.name}", *([f"--rate={offered:.0f}"] if offered else []), url]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield
            if process.poll() not in (None, 0):
                raise RuntimeError(f"pgbench ended with {process.returncode}")
        finally:
            process.terminate()
            process.wait()


_SHOWN = (
    "at_s", "created_per_s", "published_per_s", "unpublished", "completes_per_s", "complete_ms",
    "claims_per_s", "claim_ms", "record_ms", "finish_ms", "create_ms",
)  # fmt: skip


def _line(row: Mapping[str, float]) -> str:
    return " ".join(f"{row[name]:>{len(name) + 1}}" for name in _SHOWN)


def mean(rows: list[dict[str, float]], name: str) -> float:
    return sum(row[name] for row in rows) / len(rows)


def summary(phases: Mapping[str, list[dict[str, float]]]) -> Measured:
    """The figures that are claimed, and the curves."""
    found: Measured = {}
    for what, column in (("published", "published_per_s"), ("completed", "completes_per_s")):
        if rows := phases.get("offered"):
            found[f"held_{what}_part_of_offered"] = once(mean(rows, column) / OFFERED)
        for name in ("free", "held"):
            if rows := phases.get(name):
                found[f"{name}_{what}_per_s"] = once(mean(rows, column), "tasks/s")
                found[f"{name}_{what}_last_to_first"] = once(rows[-1][column] / rows[0][column])
        if phases.get("free") and phases.get("held"):
            ratio = mean(phases["held"], column) / mean(phases["free"], column)
            found[f"{what}_ratio_held_to_free"] = once(ratio, "×")
        found[f"{what}_while_held"] = curves(phases, column, "tasks/s")
    for name, rows in phases.items():
        found[f"{name}_claim_ms_first"] = once(rows[0]["claim_ms"], "ms")
        found[f"{name}_claim_ms_last"] = once(rows[-1]["claim_ms"], "ms")
    return found | {"claim_ms_while_held": curves(phases, "claim_ms", "ms")}


def curves(phases: Mapping[str, Sequence[Mapping[str, float]]], column: str, y: str) -> Series:
    lines = {name: [(row["at_s"], row[column]) for row in rows] for name, rows in phases.items()}
    return Series("seconds", y, lines, logarithmic=False)


@program
@click.option("--minutes", default=10.0, show_default=True, help="For each of the three.")
@click.option("--bucket", default=30.0, show_default=True, help="Seconds.")
@click.option("--only", type=click.Choice(PHASES), multiple=True, help="These of the three.")
@click.option(
    "--fastest",
    default=8000.0,
    show_default=True,
    help="Completions per second for which tasks are made at full rate.",
)
def main(minutes: float, bucket: float, only: tuple[str, ...], fastest: float) -> Measured:
    """Publishing and completing, bucket by bucket, free and held."""
    phases: dict[str, list[dict[str, float]]] = {}
    for name in only or PHASES:
        say(f"{name}\n {' '.join(_SHOWN)}")
        phases[name] = run_phase(name, minutes * 60, bucket, fastest)
    return summary(phases)


if __name__ == "__main__":
    main()
