"""What do the counters cost a completion, and what does completing a hundred at once save?

Sixteen clients complete the tasks of one stage, each call a transaction of its own. They take
neighbouring tasks at random, as workers do, so that they meet in the counters.

    counted     complete_task as it is
    uncounted   the same function without the update of the counter
    hundreds    complete_tasks of 100
    held        counted, while another session keeps a repeatable read transaction open

The first two take short turns on one stage, the one or the other first: how fast such a machine is
changes within seconds, and by more than the counters cost. The ratio of a round is the median of
its pairs'. The others have a stage each. The clients are those of pgbench, with
prepared statements, on the same two cores: the lightest there are.

    python -m benchmarks.complete [--pairs 20] [--duration 2] [--rounds 5]

For longer, and with publishing: benchmarks.held.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import click
import psycopg

from benchmarks.measure import Measured, over, program, ratios
from benchmarks.place import Connection, clean, create, database
from bridge.local.postgres import server_binaries

CLIENTS = 16

#: Calls of each client in a turn: half a second.
TURN = 250

TOKEN = UUID(int=1)

SCAFFOLD = """
create schema bench;
create table bench.work (client integer, nth integer, task_ids text[], primary key (client, nth));
"""

#: What each client does, again and again.
SINGLE = """
\\set nth :nth + 1
select stagebus.complete_task(
    (select task_ids[1] from bench.work where client = :client_id and nth = :nth), '{token}');
"""
HUNDRED = """
\\set nth :nth + 1
select count(*) from stagebus.complete_tasks(
    (select task_ids from bench.work where client = :client_id and nth = :nth), '{token}');
"""

#: The part of the function that counts; uncounted is the function without it.
COUNTS = r"update counter_slots .*?if not found.*?end if;"


def stage_in_work(connection: Connection, tasks: int, at_once: int) -> None:
    """A stage whose tasks all run, and who is to complete which; nothing else is left behind."""
    connection.execute("truncate bench.work")
    clean(connection)
    with connection.transaction():
        create(connection, tasks)
        connection.execute(
            "insert into stagebus_data.running_attempts"
            " select job_id, stage, task_index, 1, null, now(), now() + interval '1 day'"
            " from stagebus_data.tasks"
        )
        connection.execute(
            "update stagebus_data.tasks set state = 'processing', token = %s", (TOKEN,)
        )
        connection.execute(
            "insert into bench.work select client, (nth - 1) / %(at_once)s + 1,"
            "  array_agg(task_id order by nth) from ("
            "  select client, task_id, row_number() over (partition by client order by i) as nth"
            "  from ("
            "   select stagebus.task_id(job_id, stage, task_index) as task_id, task_index as i,"
            "    floor(random() * %(clients)s)::integer as client from stagebus_data.tasks"
            "  ) as dealt) as numbered group by 1, 2",
            {"at_once": at_once, "clients": CLIENTS},
        )
    connection.execute("vacuum (analyze) stagebus_data.tasks, stagebus_data.running_attempts")
    connection.execute("analyze bench.work")
    connection.execute("checkpoint")


def completed(connection: Connection) -> int:
    ((count,),) = connection.execute(
        "select count(*) from stagebus_data.tasks where state = 'completed'"
    ).fetchall()
    return int(count)


def complete(connection: Connection, url: str, script: str, *options: str) -> float:
    """Completions per second of all clients together, once they are connected."""
    before = completed(connection)
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script.format(token=TOKEN))
        file.flush()
        command = [str(server_binaries() / "pgbench"), "--no-vacuum", "--protocol=prepared"]
        command += [f"--client={CLIENTS}", "--jobs=2", *options, f"--file={file.name}", url]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    calls = re.search(r"^number of transactions actually processed: (\d+)", said, re.MULTILINE)
    rate = re.search(r"^tps = ([0-9.]+)", said, re.MULTILINE)
    assert calls, said
    assert rate, said
    # A client whose own work is done calls on, and completes nothing.
    return float(rate[1]) * (completed(connection) - before) / int(calls[1])


@contextmanager
def held(url: str) -> Iterator[None]:
    """A snapshot that keeps what is updated from being cleaned up."""
    with psycopg.connect(url) as other:
        other.execute("set transaction isolation level repeatable read")
        other.execute("select count(*) from stagebus_data.jobs")
        yield


def one_round(connection: Connection, url: str, pairs: int, seconds: float) -> dict[str, float]:
    ((counted,),) = connection.execute(
        "select pg_get_functiondef('stagebus.complete_task(text, uuid, jsonb)'::regprocedure)"
    ).fetchall()
    uncounted, replaced = re.subn(COUNTS, "", counted, flags=re.DOTALL)
    assert replaced == 1, "complete_task counts in another way now"
    functions = {"counted": counted, "uncounted": uncounted}
    stage_in_work(connection, CLIENTS * (2 * pairs + 1) * TURN * 5 // 4, 1)
    turns: dict[str, list[float]] = {name: [] for name in functions}
    done = 0
    for nth in range(pairs):
        for name in sorted(functions, reverse=bool(nth % 2)):
            connection.execute(functions[name])
            turns[name].append(
                complete(connection, url, SINGLE, f"--transactions={TURN}", f"--define=nth={done}")
            )
            done += TURN
    connection.execute(counted)
    rates = {name: statistics.median(of_turns) for name, of_turns in turns.items()}
    rates["ratio"] = statistics.median(
        mine / others for mine, others in zip(*turns.values(), strict=True)
    )
    stage_in_work(connection, round(256_000 * seconds), 100)
    all_the_time = (f"--time={seconds:.0f}", "--define=nth=0")
    rates["hundreds"] = complete(connection, url, HUNDRED, *all_the_time)
    stage_in_work(connection, round(32_000 * seconds), 1)
    with held(url):
        rates["held"] = complete(connection, url, SINGLE, *all_the_time)
    return rates


@program
@click.option("--pairs", default=20, show_default=True, help="Of turns, counted and not.")
@click.option("--duration", default=2.0, show_default=True, help="Seconds of each of the others.")
@click.option("--rounds", default=5, show_default=True)
def main(pairs: int, duration: float, rounds: int) -> Measured:
    """Completions per second, and their ratios."""
    with (
        database() as server,
        psycopg.connect(server.url(), autocommit=True) as connection,
    ):
        connection.execute(SCAFFOLD)
        one_round(connection, server.url(), 1, 1)
        measured = [one_round(connection, server.url(), pairs, duration) for _ in range(rounds)]
    result: Measured = {
        "completion_ratio_to_uncounted": over([rates.pop("ratio") for rates in measured], "×"),
        "complete_tasks_ratio_to_single": ratios(measured, "hundreds", "counted"),
        "completion_ratio_held_to_free": ratios(measured, "held", "counted"),
    }
    return result | {
        f"{kind}_completions_per_s": over([rates[kind] for rates in measured], "tasks/s")
        for kind in measured[0]
    }


if __name__ == "__main__":
    main()
