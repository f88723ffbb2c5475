"""A producer process of a run: creates jobs at a rate; three transactions in ten are rolled back.

python -m tests.faults.producer DATABASE_URL LEDGER RATE SEED
"""

from __future__ import annotations

import random
import signal
import sys
import time
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
from psycopg.types.json import Jsonb

from tests.faults.ledger import Ledger, Line

#: Tasks of a stage, and how often a stage has so many.
SIZES = {1: 10, 7: 15, 60: 20, 250: 25, 1000: 20, 5000: 10}

ROLLED_BACK = 0.3

#: Jobs of these task types have one stage; TWO_STAGES get another from the controller.
TASK_TYPES = ("long", "short")
TWO_STAGES = "then_again"

NUMBERED = "select create_stage_tasks(%s, 1, %s, %s, parameters => %s)"
FROM_ARRAY = "select create_stage_tasks_from_array(%s, 1, %s, %s)"
FROM_QUERY = (
    "select create_stage_tasks_from_query(%s, 1, %s, format("
    "'select jsonb_build_object(''n'', n) from generate_series(1, %%s) as n', %s::integer))"
)


class Producer:
    """One connection at a time, made again when it is lost."""

    def __init__(self, database_url: str, ledger: Ledger, chance: random.Random) -> None:
        self._url = database_url
        self._ledger = ledger
        self._chance = chance

    def run(self, rate: float) -> None:
        """Until SIGTERM, `rate` committed tasks a second as far as PostgreSQL lets it."""
        stopping = False

        def stop(*_: object) -> None:
            nonlocal stopping
            stopping = True

        signal.signal(signal.SIGTERM, stop)
        began, committed = time.monotonic(), 0
        while not stopping:
            try:
                with psycopg.connect(self._url, connect_timeout=5) as connection:
                    while not stopping:
                        if committed > rate * (time.monotonic() - began):
                            time.sleep(0.02)
                        else:
                            committed += self._transaction(connection)
            except psycopg.Error:
                # A transaction without a line that ends it: committed or not, the database knows.
                time.sleep(0.2)

    def _transaction(self, connection: psycopg.Connection) -> int:
        """How many tasks it has committed."""
        transaction = uuid4()
        lines: list[Line] = []
        tasks = 0
        for _ in range(self._chance.choice((1, 1, 1, 2, 3))):
            job_id, size = self._create(connection)
            lines.append(("attempt", transaction, job_id, 1, size))
            tasks += size
        self._ledger.write(*lines)
        if self._chance.random() < ROLLED_BACK:
            self._roll_back(connection)
            self._ledger.write(("rollback", transaction))
            return 0
        connection.commit()
        self._ledger.write(("commit", transaction, time.monotonic()))
        return tasks

    def _create(self, connection: psycopg.Connection) -> tuple[UUID, int]:
        (size,) = self._chance.choices(list(SIZES), list(SIZES.values()))
        task_type = self._chance.choice((*TASK_TYPES, TWO_STAGES))
        (job_id,) = connection.execute("select create_job(%s)", (task_type,)).fetchone() or ()
        way = self._chance.choice((NUMBERED, NUMBERED, FROM_ARRAY, FROM_QUERY))
        if way == NUMBERED:
            connection.execute(way, (job_id, task_type, size, Jsonb({"common": "ü"})))
        elif way == FROM_ARRAY:
            connection.execute(way, (job_id, task_type, [Jsonb({"n": n}) for n in range(size)]))
        else:
            connection.execute(way, (job_id, task_type, size))
        return job_id, size

    def _roll_back(self, connection: psycopg.Connection) -> None:
        """By its own will, by an error, or by leaving."""
        how = self._chance.randrange(3)
        if how == 0:
            connection.rollback()
        elif how == 1:
            try:
                connection.execute("select 1 / 0")
            except psycopg.errors.DivisionByZero:
                connection.rollback()
        else:
            connection.close()


def main(database_url: str, ledger: str, rate: str, seed: str) -> None:
    producer = Producer(database_url, Ledger(Path(ledger)), random.Random(int(seed)))
    producer.run(float(rate))


if __name__ == "__main__":
    main(*sys.argv[1:])
