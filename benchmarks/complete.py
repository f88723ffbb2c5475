"""What do the counters cost a completion, and what does completing a hundred at once save?

Sixteen sessions complete the tasks of one stage, each task in a transaction of its own. They take
neighbouring tasks at random, as workers do, so that they meet in the counters.

    counted     complete_task as it is
    uncounted   the same function without the update of the counter
    hundreds    complete_tasks of 100
    held        counted, while another session keeps a repeatable read transaction open

A round is one of each, on a new stage each; ratios are taken within the round. The loops run in
the server, as procedures that commit after each call: no driver takes part, so that nothing hides
what the functions cost.

    python -m benchmarks.complete [--seconds 8] [--rounds 5]
    python -m benchmarks.complete --offered 1000 --minutes 10     # held, at a rate: make bench-held
"""

from __future__ import annotations

import json
import platform
import re
import statistics
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import click
import psycopg
from psycopg.rows import TupleRow

from bridge.local.postgres import temporary_postgres
from bridge.migrate import migrate

SESSIONS = 16
TOKEN = UUID(int=1)

SCAFFOLD = """
create schema bench;
create table bench.work (session integer, nth integer, task_ids text[], primary key (session, nth));

create procedure bench.complete(p_session integer, p_until timestamptz, p_pause interval)
language plpgsql as $$
declare
    v_token constant uuid := '00000000-0000-0000-0000-000000000001';
    v_next  timestamptz := clock_timestamp();
    v_nth   integer := 0;
    v_ids   text[];
begin
    loop
        v_nth := v_nth + 1;
        select w.task_ids into v_ids
        from bench.work as w where w.session = p_session and w.nth = v_nth;
        exit when not found or clock_timestamp() >= p_until;
        if cardinality(v_ids) = 1 then
            perform stagebus.complete_task(v_ids[1], v_token);
        else
            perform from stagebus.complete_tasks(v_ids, v_token);
        end if;
        commit;
        if p_pause is not null then
            v_next := v_next + p_pause;
            perform pg_sleep(greatest(0, extract(epoch from v_next - clock_timestamp())));
        end if;
    end loop;
end;
$$;
"""

#: The function without its counter: where it counts, it says that it has.
COUNTS = r"update counter_slots .*?if not found.*?end if;"
DOES_NOT_COUNT = ""

Connection = psycopg.Connection[TupleRow]


def stage_in_work(connection: Connection, tasks: int, at_once: int) -> None:
    """A stage whose tasks all run, and who is to complete which; nothing else is left behind."""
    connection.execute("truncate bench.work")
    connection.execute(
        "truncate stagebus_data.jobs, stagebus_data.tasks, stagebus_data.counter_slots,"
        " stagebus_data.counter_groups, stagebus_data.running_attempts cascade"
    )
    with connection.transaction():
        connection.execute(
            "select stagebus.create_stage_tasks(stagebus.create_job('bench'), 1, 'h3_hexagon', %s)",
            (tasks,),
        )
        connection.execute(
            "insert into stagebus_data.running_attempts"
            " select job_id, stage, task_index, 1, null, now(), now() + interval '1 day'"
            " from stagebus_data.tasks"
        )
        connection.execute(
            "update stagebus_data.tasks set state = 'processing', token = %s", (TOKEN,)
        )
        connection.execute(
            "insert into bench.work select session, (nth - 1) / %(at_once)s + 1,"
            "  array_agg(task_id order by nth) from ("
            "  select session, task_id, row_number() over (partition by session order by i) as nth"
            "  from ("
            "   select stagebus.task_id(job_id, stage, task_index) as task_id, task_index as i,"
            "    floor(random() * %(sessions)s)::integer as session from stagebus_data.tasks"
            "  ) as dealt) as numbered group by 1, 2",
            {"at_once": at_once, "sessions": SESSIONS},
        )
    connection.execute("vacuum (analyze) stagebus_data.tasks, stagebus_data.running_attempts")
    connection.execute("analyze bench.work")
    connection.execute("checkpoint")


def completed(connection: Connection) -> int:
    ((count,),) = connection.execute(
        "select count(*) from stagebus_data.tasks where state = 'completed'"
    ).fetchall()
    return int(count)


def complete(connection: Connection, url: str, seconds: float, pause: float | None) -> float:
    """Completions per second of all sessions together."""

    def session(number: int) -> None:
        with psycopg.connect(url, autocommit=True) as own:
            own.execute(
                "call bench.complete(%s, clock_timestamp() + make_interval(secs => %s),"
                " make_interval(secs => %s))",
                (number, seconds, pause),
            )

    started = time.perf_counter()
    with ThreadPoolExecutor(SESSIONS) as sessions:
        list(sessions.map(session, range(SESSIONS)))
    return completed(connection) / (time.perf_counter() - started)


@contextmanager
def held(url: str) -> Iterator[None]:
    """A snapshot that keeps what is updated from being cleaned up."""
    with psycopg.connect(url) as other:
        other.execute("set transaction isolation level repeatable read")
        other.execute("select count(*) from stagebus_data.jobs")
        yield


def one_round(connection: Connection, url: str, tasks: int, seconds: float) -> dict[str, float]:
    rates = {}
    ((counted,),) = connection.execute(
        "select pg_get_functiondef('stagebus.complete_task(text, uuid, jsonb)'::regprocedure)"
    ).fetchall()
    uncounted, replaced = re.subn(COUNTS, DOES_NOT_COUNT, counted, flags=re.DOTALL)
    assert replaced == 1, "complete_task counts in another way now"
    stage_in_work(connection, tasks, 1)
    rates["counted"] = complete(connection, url, seconds, None)
    connection.execute(uncounted)
    try:
        stage_in_work(connection, tasks, 1)
        rates["uncounted"] = complete(connection, url, seconds, None)
    finally:
        connection.execute(counted)
    stage_in_work(connection, tasks * 10, 100)
    rates["hundreds"] = complete(connection, url, seconds, None)
    stage_in_work(connection, tasks, 1)
    with held(url):
        rates["held"] = complete(connection, url, seconds, None)
    return rates


def ratios(rounds: Sequence[dict[str, float]], above: str, below: str) -> dict[str, object]:
    found = [rates[above] / rates[below] for rates in rounds]
    return {
        "median": round(statistics.median(found), 3),
        "spread": [round(min(found), 3), round(max(found), 3)],
    }


@click.command()
@click.option("--tasks", default=200_000, show_default=True, help="Of a stage, at least.")
@click.option("--seconds", default=8.0, show_default=True, help="How long each is measured.")
@click.option("--rounds", default=5, show_default=True)
@click.option("--offered", type=float, help="Completions per second, held; else as fast as can be.")
@click.option("--minutes", default=10.0, show_default=True, help="How long they are offered.")
@click.option("--postgres", "version", type=int, default=18, show_default=True)
def main(
    tasks: int, seconds: float, rounds: int, offered: float | None, minutes: float, version: int
) -> None:
    """Measure and print; write build/bench-complete.json or build/bench-held.json."""
    with temporary_postgres(version, settings={"max_wal_size": "8GB"}) as server:
        url = server.url()
        migrate(url)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(SCAFFOLD)
            if offered is None:
                one_round(connection, url, tasks, seconds / 4)
                name = "complete"
                result = fast(connection, url, tasks, seconds, rounds)
            else:
                name = "held"
                result = slow(connection, url, offered, minutes)
    result |= {
        "postgresql": version,
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {platform.system()}",
    }
    Path("build").mkdir(exist_ok=True)
    Path(f"build/bench-{name}.json").write_text(json.dumps(result, indent=2) + "\n")
    for key, value in result.items():
        click.echo(f"{key:32} {value}")


def fast(
    connection: Connection, url: str, tasks: int, seconds: float, rounds: int
) -> dict[str, object]:
    measured = [one_round(connection, url, tasks, seconds) for _ in range(rounds)]
    result: dict[str, object] = {
        f"{kind}_per_s": round(statistics.median(rates[kind] for rates in measured))
        for kind in measured[0]
    }
    result["completion_ratio_to_uncounted"] = ratios(measured, "counted", "uncounted")
    result["complete_tasks_ratio_to_single"] = ratios(measured, "hundreds", "counted")
    result["held_ratio_to_free"] = ratios(measured, "held", "counted")
    return result | {"seconds": seconds, "rounds": rounds, "sessions": SESSIONS}


def slow(connection: Connection, url: str, offered: float, minutes: float) -> dict[str, object]:
    seconds = minutes * 60
    stage_in_work(connection, round(offered * seconds * 1.1), 1)
    with held(url):
        rate = complete(connection, url, seconds, SESSIONS / offered)
    return {
        "held_completions_per_s": round(rate, 1),
        "held_part_of_offered": round(rate / offered, 4),
        "offered_per_s": offered,
        "minutes": minutes,
        "sessions": SESSIONS,
    }


if __name__ == "__main__":
    main()
