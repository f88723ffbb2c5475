"""The demo's operator: has what failed tried again, by orders, for the job waits for it."""

from __future__ import annotations

import time
from typing import NamedTuple
from uuid import UUID

import psycopg
from psycopg.rows import TupleRow

from bridge.client import call, retry_tasks

#: Seconds for a bridge to work an order off.
ORDER_TIMEOUT = 120.0


class Retry(NamedTuple):
    """What an operator is told about an order to try tasks again."""

    tasks: int
    note: str


class Operator:
    """One connection as a member of stagebus_operator."""

    def __init__(self, connection: psycopg.Connection[TupleRow]) -> None:
        self._connection = connection

    def expect_failures(self) -> None:
        """Two attempts at each place, a second apart; what fails twice waits for the operator."""
        self._connection.execute(
            "select stagebus.set_task_type('h3_hexagon', max_attempts => 2, timeout => '5 seconds',"
            " retry_delay => '1 second')"
        )

    def in_hand(self, job_id: UUID, worker: str) -> list[str]:
        """The ids of the tasks that the worker has started and not ended."""
        rows = self._connection.execute(
            "select task_id from stagebus.tasks where job_id = %s and worker = %s", (job_id, worker)
        )
        return [str(row[0]) for row in rows]

    def look_at_failures(self, job_id: UUID, stage: int) -> Retry:
        """A dry run of `retry_failures`."""
        order = call(self._connection, retry_tasks(job_id, stage, dry_run=True))
        return Retry(order.tasks, order.note)

    def retry_failures(self, job_id: UUID, stage: int) -> int:
        """Gives each failed task one more attempt; returns how many, once a bridge has done it."""
        order = call(
            self._connection, retry_tasks(job_id, stage, reason="the map is at hand again")
        )
        deadline = time.monotonic() + ORDER_TIMEOUT
        while True:
            row = self._connection.execute(
                "select status, tasks_done from stagebus.orders where order_id = %s",
                (order.order_id,),
            ).fetchone()
            assert row is not None
            if row[0] == "done":
                return int(row[1])
            if time.monotonic() > deadline:
                raise TimeoutError(f"no bridge worked order {order.order_id} off")
            time.sleep(0.1)
