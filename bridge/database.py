"""The bridge's edge to PostgreSQL: the only SQL text of the service, all of it calls."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TypeVar
from uuid import UUID

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row

from bridge.batch import Claim, Message, SendRecord
from bridge.connection import answering, connect
from bridge.errors import DatabaseUnavailable, IncompatibleDatabase, UnsafeDatabase
from bridge.failpoints import failpoint, shut_down
from bridge.orders import Maintained, OrderReport

#: The versions of stagebus.api_version() that this bridge can work with.
API_VERSIONS = range(1, 2)

#: Joined to every call that writes: its commit waits for the disk, whatever the session has been
#: told. Behind a pooler of transactions each call may have another session.
DURABLY = "set_config('synchronous_commit', 'on', true)"

T = TypeVar("T")


class Database:
    """One connection that is made when it is needed, and again after it was lost.

    Every method raises DatabaseUnavailable when the connection fails, the server goes away, or no
    answer comes in time (CallTimedOut); then the call may or may not have been done, and the
    claim's epoch decides what counts.
    """

    def __init__(self, database_url: str, purpose: str) -> None:
        self._url = database_url
        self._purpose = purpose
        self._connection: AsyncConnection[TupleRow] | None = None
        self._connecting = asyncio.Lock()

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def cut(self, *, answered: bool) -> None:
        """For failpoints: the connection ends, and an answer on its way is lost with it."""
        if self._connection is None or self._connection.closed:
            return
        with socket.socket(fileno=os.dup(self._connection.fileno())) as beneath:
            shut_down(beneath)
        if answered:
            await self.close()
            raise DatabaseUnavailable("it was cut")

    async def check_api(self) -> None:
        """Raises IncompatibleDatabase unless the installed API is one of API_VERSIONS."""
        try:
            version = await self._value("select stagebus.api_version()", ())
        except (psycopg.errors.InvalidSchemaName, psycopg.errors.UndefinedFunction) as error:
            raise DatabaseUnavailable(
                "stagebus is not installed in the database: stagebus migrate"
            ) from error
        except psycopg.errors.InsufficientPrivilege as error:
            raise IncompatibleDatabase(
                "the database role may not use stagebus: grant stagebus_bridge to it"
            ) from error
        if version not in API_VERSIONS:
            raise IncompatibleDatabase(
                f"the database has version {version} of the API, this bridge knows"
                f" {API_VERSIONS.start} to {API_VERSIONS.stop - 1}: install the bridge that fits,"
                " or run stagebus migrate of this one"
            )

    async def check_fsync(self) -> None:
        """Raises UnsafeDatabase when a crash of the server's machine may undo its commits."""
        if await self._value("select current_setting('fsync')", ()) != "on":
            raise UnsafeDatabase(
                "the database server has fsync = off: when its machine crashes, tasks and the"
                " records of what was sent may be lost or the database be damaged; set fsync = on,"
                " or, where nothing matters, allow it with --allow-fsync-off"
                " (STAGEBUS_ALLOW_FSYNC_OFF=1)"
            )

    @failpoint
    async def claim_batches(
        self, bridge_id: UUID, limit: int, lease: float, after_seq: int
    ) -> list[Claim]:
        """Up to `limit` batches, leased for `lease` seconds; those with seq above `after_seq`."""
        return await self._rows(
            Claim,
            "job_id, batch_id, stage, claim_epoch, dispatch, task_type, entity_kind, entity,"
            " max_send_bytes, max_send_messages, published_through, last_index,"
            " average_body_bytes, seq",
            "stagebus.claim_batches(%s, %s, %s, %s)",
            (bridge_id, limit, timedelta(seconds=lease), after_seq),
        )

    async def batch_messages(self, claim: Claim, after_index: int, limit: int) -> list[Message]:
        """The next page of the batch, from the task after `after_index` on.

        Empty as well when the batch is no longer this claim's: the next write tells.
        """
        async with self._connected() as connection:
            cursor = connection.cursor(binary=True)
            await cursor.execute(
                "select task_index, message_id, body"
                " from stagebus.batch_messages(%s, %s, %s, %s, %s)",
                (*_key(claim), after_index, limit),
            )
            return [Message(*row) for row in await cursor.fetchall()]

    @failpoint
    async def record_send(self, claim: Claim, record: SendRecord, lease: float) -> bool:
        """True when it is in the ledger; False when the batch is no longer this claim's."""
        return await self._flag(
            "select stagebus.record_send(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                *_key(claim),
                record.first_index,
                record.last_index,
                record.messages,
                record.size,
                timedelta(seconds=record.seconds),
                record.outcome,
                record.error,
                timedelta(seconds=lease),
            ),
        )

    @failpoint
    async def finish_batch(self, claim: Claim) -> bool:
        """True when the batch is now queued; False when it is no longer this claim's."""
        return await self._flag("select stagebus.finish_batch(%s, %s, %s)", _key(claim))

    @failpoint
    async def fail_batch(self, claim: Claim, error: str, attempts: int) -> str | None:
        """The batch's new state, or None when it is no longer this claim's."""
        value = await self._value(
            "select stagebus.fail_batch(%s, %s, %s, %s, %s)", (*_key(claim), error, attempts)
        )
        return None if value is None else str(value)

    @failpoint
    async def fail_unsendable_task(self, claim: Claim, task_index: int, error: str) -> bool:
        """True when the task has failed; False when the batch is no longer this claim's."""
        return await self._flag(
            "select stagebus.fail_unsendable_task(%s, %s, %s, %s, %s)",
            (*_key(claim), task_index, error),
        )

    @failpoint
    async def release_batch(
        self, claim: Claim, delay: float, reason: str | None, destination: str | None
    ) -> bool:
        """True when the batch waits again; False when it is no longer this claim's.

        `destination`: throttled or refused, when that is the reason.
        """
        return await self._flag(
            "select stagebus.release_batch(%s, %s, %s, %s, %s, %s)",
            (*_key(claim), timedelta(seconds=delay), reason, destination),
        )

    @failpoint
    async def extend_lease(self, claim: Claim, lease: float) -> bool:
        """True when the lease now runs `lease` seconds from here on."""
        return await self._flag(
            "select stagebus.extend_lease(%s, %s, %s, %s)",
            (*_key(claim), timedelta(seconds=lease)),
        )

    @failpoint
    async def maintain(self, limit: int) -> Maintained:
        """One round of house-keeping, within `limit` tasks for each duty."""
        (done,) = await self._rows(
            Maintained,
            "lost_attempts, retried_tasks, republished_batches, overdue_stages",
            "stagebus.maintain(%s)",
            (limit,),
        )
        return done

    async def working_orders(self) -> list[int]:
        """The ids of the orders that are worked off, oldest first."""
        async with self._connected() as connection:
            cursor = await connection.execute("select * from stagebus.working_orders()")
            return [order_id for (order_id,) in await cursor.fetchall()]

    @failpoint
    async def work_order(self, order_id: int, limit: int) -> OrderReport:
        """One step of the order, of `limit` tasks at most, in a transaction of its own."""
        (report,) = await self._rows(
            OrderReport,
            "order_id, action, status, tasks, tasks_done",
            "stagebus.work_order(%s, %s)",
            (order_id, limit),
        )
        return report

    @failpoint
    async def fail_order_step(self, order_id: int, error: str) -> None:
        """Shows why a step of the order failed, until one succeeds."""
        await self._value("select stagebus.fail_order_step(%s, %s)", (order_id, error))

    async def _flag(self, call: str, arguments: Sequence[object]) -> bool:
        return bool(await self._value(call, arguments))

    async def _rows(
        self, kind: type[T], columns: str, call: str, arguments: Sequence[object]
    ) -> list[T]:
        async with self._connected() as connection:
            cursor = connection.cursor(row_factory=class_row(kind))
            await cursor.execute(
                f"select {columns} from {DURABLY}, {call}",  # noqa: S608
                arguments,
            )
            return await cursor.fetchall()

    async def _value(self, call: str, arguments: Sequence[object]) -> object:
        async with self._connected() as connection:
            cursor = await connection.execute(f"{call} from {DURABLY}", arguments)
            row = await cursor.fetchone()
        return None if row is None else row[0]

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection[TupleRow]]:
        """The connection, for one call; it is dropped when the call finds it lost."""
        async with self._connecting:
            if self._connection is None or self._connection.closed:
                self._connection = await connect(self._url, self._purpose)
            connection = self._connection
        try:
            async with answering(connection):
                yield connection
        except DatabaseUnavailable:
            await connection.close()
            # Another call may have replaced it meanwhile.
            if self._connection is connection:
                self._connection = None
            raise


def _key(claim: Claim) -> tuple[UUID, UUID, int]:
    return claim.job_id, claim.batch_id, claim.claim_epoch
