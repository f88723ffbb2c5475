"""Calls of house-keeping: duties, orders, retention, jobs to advance, and dead letters."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg.rows import class_row

from bridge.batch import DeadLetter
from bridge.connection import CALL_DEADLINE
from bridge.failpoints import failpoint
from bridge.orders import (
    Advance,
    DeadLetterQueue,
    DueJob,
    Maintained,
    OrderReport,
    Removal,
)
from bridge.session import DURABLY_THERE, SOON_THERE, Session

#: What undoes whatever the code of others did to a session, within its transaction.
CLEANINGS = (
    "reset all",
    "close all",
    "discard temp",
    "select pg_advisory_unlock_all()",
    "set local synchronous_commit = on",
)

#: Seconds that a step of retention may take: whether a week has expired is asked of each of its
#: jobs, and takes some seconds for a million.
REMOVAL_DEADLINE = 120.0

#: The columns of an Advance.
ADVANCE = "status, job_status, stages, tasks"


class HouseKeeping(Session):
    """The calls, over one connection; they raise as those of Database do."""

    @failpoint
    async def maintain(self, limit: int, *, everything: bool = True) -> Maintained:
        """One round of house-keeping, within `limit` tasks for each duty.

        Without `everything`, attempts that were lost over a minute ago are not looked for.
        """
        _, (done,) = await self._rows(
            Maintained,
            "lost_attempts, retried_tasks, republished_batches, overdue_stages, due_jobs,"
            " orders, removal_due, more",
            "stagebus.maintain(%s, %s)",
            (limit, everything),
        )
        return done

    @failpoint
    async def work_order(self, order_id: int, limit: int) -> OrderReport:
        """One step of the order, of `limit` tasks at most, in a transaction of its own."""
        _, (report,) = await self._rows(
            OrderReport,
            "order_id, action, status, tasks, tasks_done",
            "stagebus.work_order(%s, %s)",
            (order_id, limit),
        )
        return report

    @failpoint
    async def fail_order_step(self, order_id: int, error: str) -> None:
        """Shows why a step of the order failed, until one succeeds."""
        async with self._connected() as connection:
            await connection.execute(
                f"select stagebus.fail_order_step(%s, %s) from {DURABLY_THERE}",  # noqa: S608
                (order_id, error, self._witness.server),
            )

    @failpoint
    async def drop_expired(self, limit: int) -> Removal:
        """One step of retention, of `limit` rows at most, in a transaction of its own."""
        _, (removal,) = await self._rows(
            Removal,
            "partition, status, removed_rows, note",
            "stagebus.drop_expired(%s, at_once => false)",
            (limit,),
            within=REMOVAL_DEADLINE,
        )
        return removal

    async def due_jobs(self, limit: int, except_types: Sequence[str]) -> list[DueJob]:
        """The jobs that wait to be advanced, longest first, but those of the types."""
        async with self._connected() as connection:
            cursor = connection.cursor(row_factory=class_row(DueJob))
            await cursor.execute(
                "select job_id, job_type, timeout, calls_functions from stagebus.due_jobs(%s, %s)",
                (limit, list(except_types)),
            )
            return await cursor.fetchall()

    @failpoint
    async def advance_job(self, due: DueJob) -> Advance:
        """Makes the job's next stages, in a transaction of its own.

        A crash of the server may undo it a moment later, unless the plan has functions, which may
        write as well. Then the job is due again: nothing of its new stages was sent or started,
        since a claim waits for the disk, and with it all that was committed before.
        """
        patience = due.timeout.total_seconds()
        if due.calls_functions:
            return await self._advance_with_functions(due, patience)
        _, (advance,) = await self._rows(
            Advance,
            ADVANCE,
            "stagebus.advance_job(%s)",
            (due.job_id,),
            within=patience,
            there=SOON_THERE,
        )
        return advance

    async def _advance_with_functions(self, due: DueJob, patience: float) -> Advance:
        """The same, in no more time than the plan allows.

        The plan's functions are the code of others: what they may have left in the session (a
        setting, a temporary table, a cursor, an advisory lock) goes before the commit, since behind
        a pooler of transactions the session is somebody else's after it.
        """
        async with (
            self._connected(within=patience + CALL_DEADLINE) as connection,
            connection.pipeline(),
            connection.transaction(),
        ):
            await connection.execute(
                "select set_config('statement_timeout', %s, true),"  # noqa: S608
                # A function that goes on after it was told to stop ends with this process.
                " set_config('client_connection_check_interval', '5s', true)"
                f" from {DURABLY_THERE}",
                (f"{round(patience * 1000)}ms", self._witness.server),
            )
            cursor = connection.cursor(row_factory=class_row(Advance))
            await cursor.execute(
                f"select {ADVANCE} from stagebus.advance_job(%s)",  # noqa: S608
                (due.job_id,),
            )
            for cleaning in CLEANINGS:
                await connection.execute(cleaning)
        (advance,) = await cursor.fetchall()
        return advance

    async def dead_letter_queues(self) -> list[DeadLetterQueue]:
        """The queues whose dead letters may be ours."""
        async with self._connected() as connection:
            cursor = connection.cursor(row_factory=class_row(DeadLetterQueue))
            await cursor.execute("select destination, entity from stagebus.dead_letter_queues()")
            return await cursor.fetchall()

    @failpoint
    async def record_dead_letters(
        self, destination: str, letters: Sequence[DeadLetter]
    ) -> list[str]:
        """What became of each; may be told again. `wait`: nothing yet, and nothing is recorded."""
        async with self._connected() as connection:
            cursor = await connection.execute(
                f"select outcome from {DURABLY_THERE}, stagebus.record_dead_letters("  # noqa: S608
                "%s, %s::bigint[], %s::text[], %s::text[], %s::text[], %s::integer[],"
                " %s::timestamptz[], %s::integer[]) as outcome",
                (
                    self._witness.server,
                    destination,
                    [letter.sequence_number for letter in letters],
                    [letter.message_id for letter in letters],
                    [letter.reason for letter in letters],
                    [letter.description for letter in letters],
                    [letter.delivery_count for letter in letters],
                    [letter.enqueued_at for letter in letters],
                    [letter.body_bytes for letter in letters],
                ),
            )
            return [outcome for (outcome,) in await cursor.fetchall()]
