"""The bridge's edge to PostgreSQL: the only SQL text of the service, all of it calls."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row

from bridge.batch import Claim, Message, SendRecord
from bridge.connection import answering, connect
from bridge.errors import DatabaseUnavailable, IncompatibleDatabase, UnsafeDatabase
from bridge.failpoints import failpoint, shut_down
from bridge.logs import EventLog
from bridge.orders import Maintained, OrderReport
from bridge.witness import Witness

log = EventLog("stagebus.database")

#: The versions of stagebus.api_version() that this bridge can work with.
API_VERSIONS = range(1, 2)

#: Joined to every call that writes: its commit waits for the disk, whatever the session has been
#: told. Behind a pooler of transactions each call may have another session.
DURABLY = "set_config('synchronous_commit', 'on', true)"

#: What a server is told to set that was started at another time than the call expects.
ANOTHER_SERVER = "another server"

#: The same, for a call that only the server may do that was asked what it remembers. For any other
#: the value is wrong, so the whole call fails: that costs a third of what a function would.
DURABLY_THERE = (
    "set_config('synchronous_commit', case pg_postmaster_start_time() when %s then 'on'"
    f" else '{ANOTHER_SERVER}' end, true)"
)

T = TypeVar("T")


class Database:
    """One connection that is made when it is needed, and again after it was lost.

    Every method raises DatabaseUnavailable when the connection fails, the server goes away, or no
    answer comes in time (CallTimedOut); then the call may or may not have been done, and the
    claim's epoch decides what counts.

    The first call on each connection asks the server whether it has what `witness` knows to be
    committed. If not, all destinations are paused, and no claim from before is ours any more.
    Every method but check_api also raises UnsafeDatabase when a crash of the server's machine may
    undo its commits, unless that is allowed.
    """

    def __init__(
        self, database_url: str, purpose: str, witness: Witness, *, allow_fsync_off: bool = False
    ) -> None:
        self._url = database_url
        self._purpose = purpose
        self._witness = witness
        self._allow_fsync_off = allow_fsync_off
        self._connection: AsyncConnection[TupleRow] | None = None
        self._asked = False
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
            async with self._connected(asked=False) as connection:
                cursor = await connection.execute("select stagebus.api_version()")
                ((version,),) = await cursor.fetchall()
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

    async def check_server(self) -> None:
        """Asks the server on a new connection, before anything else does."""
        async with self._connected():
            return

    @failpoint
    async def claim_batches(self, limit: int, lease: float, after_seq: int) -> list[Claim]:
        """Up to `limit` batches, leased for `lease` seconds; those with seq above `after_seq`.

        Each is ours until it is let go, or the witness forgets it.
        """
        server, claims = await self._rows(
            Claim,
            "job_id, batch_id, stage, claim_epoch, dispatch, task_type, entity_kind, entity,"
            " max_send_bytes, max_send_messages, published_through, last_index,"
            " average_body_bytes, seq",
            "stagebus.claim_batches(%s, %s, %s, %s)",
            (self._witness.bridge_id, limit, timedelta(seconds=lease), after_seq),
        )
        self._witness.claimed(claims, server)
        return claims

    def is_ours(self, claim: Claim) -> bool:
        """False once the database is known to have lost something since the claim."""
        return self._witness.server_of(claim) is not None

    def let_go(self, claim: Claim) -> None:
        """No call will name this claim any more."""
        self._witness.let_go(claim)

    async def batch_messages(self, claim: Claim, after_index: int, limit: int) -> list[Message]:
        """The next page of the batch, from the task after `after_index` on."""
        async with self._connected() as connection:
            cursor = connection.cursor(binary=True)
            await cursor.execute(
                "select task_index, message_id, body from stagebus.batch_messages(%s, %s, %s, %s)",
                (claim.job_id, claim.batch_id, after_index, limit),
            )
            return [Message(*row) for row in await cursor.fetchall()]

    @failpoint
    async def record_send(self, claim: Claim, record: SendRecord, lease: float) -> bool:
        """True when it is in the ledger; False when the batch is no longer this claim's."""
        recorded = await self._flag(
            claim,
            "select stagebus.record_send(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
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
        if recorded:
            accepted = record.last_index if record.outcome == "accepted" else None
            self._witness.committed(claim, through=accepted, sends=1)
        return recorded

    @failpoint
    async def finish_batch(self, claim: Claim) -> bool:
        """True when the batch is now queued; False when it is no longer this claim's."""
        return await self._settled(claim, "select stagebus.finish_batch(%s, %s, %s)")

    @failpoint
    async def fail_batch(self, claim: Claim, error: str, attempts: int) -> bool:
        """True when it waits for its next attempt, or failed; False when no longer this claim's."""
        return await self._settled(
            claim, "select stagebus.fail_batch(%s, %s, %s, %s, %s)", (error, attempts)
        )

    async def fail_unsendable_task(self, claim: Claim, task_index: int, error: str) -> bool:
        """True when the task has failed; False when the batch is no longer this claim's."""
        failed = await self._flag(
            claim,
            "select stagebus.fail_unsendable_task(%s, %s, %s, %s, %s)",
            (task_index, error),
        )
        if failed:
            self._witness.committed(claim, through=task_index)
        return failed

    @failpoint
    async def release_batch(
        self, claim: Claim, delay: float, reason: str | None, destination: str | None
    ) -> bool:
        """True when the batch waits again; False when it is no longer this claim's.

        `destination`: throttled or refused, when that is the reason.
        """
        return await self._settled(
            claim,
            "select stagebus.release_batch(%s, %s, %s, %s, %s, %s)",
            (timedelta(seconds=delay), reason, destination),
        )

    @failpoint
    async def extend_lease(self, claim: Claim, lease: float) -> bool:
        """True when the lease now runs `lease` seconds from here on."""
        return await self._flag(
            claim, "select stagebus.extend_lease(%s, %s, %s, %s)", (timedelta(seconds=lease),)
        )

    @failpoint
    async def maintain(self, limit: int) -> Maintained:
        """One round of house-keeping, within `limit` tasks for each duty."""
        _, (done,) = await self._rows(
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
        _, (report,) = await self._rows(
            OrderReport,
            "order_id, action, status, tasks, tasks_done",
            "stagebus.work_order(%s, %s)",
            (order_id, limit),
        )
        return report

    async def fail_order_step(self, order_id: int, error: str) -> None:
        """Shows why a step of the order failed, until one succeeds."""
        async with self._connected() as connection:
            await connection.execute(
                f"select stagebus.fail_order_step(%s, %s) from {DURABLY_THERE}",  # noqa: S608
                (order_id, error, self._witness.server),
            )

    async def _settled(self, claim: Claim, call: str, arguments: Sequence[object] = ()) -> bool:
        settled = await self._flag(claim, call, arguments)
        if settled:
            self._witness.committed(claim, settled=True)
        return settled

    async def _flag(self, claim: Claim, call: str, arguments: Sequence[object]) -> bool:
        """Makes a call under a claim; False, too, when the claim did not outlive a loss."""
        async with self._connected() as connection:
            if (server := self._witness.server_of(claim)) is None:
                return False
            cursor = await connection.execute(
                f"{call} from {DURABLY_THERE}", (*_key(claim), *arguments, server)
            )
            ((answer,),) = await cursor.fetchall()
        return bool(answer)

    async def _rows(
        self, kind: type[T], columns: str, call: str, arguments: Sequence[object]
    ) -> tuple[datetime, list[T]]:
        """What a call answers, and which server."""
        async with self._connected() as connection:
            server = self._witness.server
            assert server is not None
            cursor = connection.cursor(row_factory=class_row(kind))
            await cursor.execute(
                f"select {columns} from {DURABLY_THERE}, {call}",  # noqa: S608
                (server, *arguments),
            )
            return server, await cursor.fetchall()

    async def _ask(self, connection: AsyncConnection[TupleRow]) -> None:
        """What is this server, and has it all that we were told is committed?"""
        writes = self._witness.writes()
        cursor = await connection.execute(
            "select server, fsync, lost"  # noqa: S608
            f" from {DURABLY}, stagebus.check_writes(%s, %s, %s, %s, %s, %s, %s)",
            (
                self._witness.bridge_id,
                [write.claim.job_id for write in writes],
                [write.claim.batch_id for write in writes],
                [write.claim.claim_epoch for write in writes],
                [write.published_through for write in writes],
                [write.sends for write in writes],
                [write.settled for write in writes],
            ),
        )
        ((server, fsync, lost),) = await cursor.fetchall()
        if lost is not None:
            log.error("database.lost_transactions", reason=lost)
            self._witness.forget(server)
        else:
            self._witness.found(writes, server)
        if not (fsync or self._allow_fsync_off):
            raise UnsafeDatabase(
                "the database server has fsync = off: when its machine crashes, tasks and the"
                " records of what was sent may be lost or the database be damaged; set fsync = on,"
                " or, where nothing matters, allow it with --allow-fsync-off"
                " (STAGEBUS_ALLOW_FSYNC_OFF=1)"
            )

    @asynccontextmanager
    async def _connected(self, *, asked: bool = True) -> AsyncIterator[AsyncConnection[TupleRow]]:
        """The connection, for one call; it is dropped when the call finds it lost.

        `asked`: the server has been asked for what it remembers.
        """
        async with self._connecting:
            if self._connection is None or self._connection.closed:
                self._connection = await connect(self._url, self._purpose)
                self._asked = False
            connection = self._connection
            if asked and not self._asked:
                async with self._dropped_if_lost(connection):
                    await self._ask(connection)
                self._asked = True
        async with self._dropped_if_lost(connection):
            yield connection

    @asynccontextmanager
    async def _dropped_if_lost(self, connection: AsyncConnection[TupleRow]) -> AsyncIterator[None]:
        try:
            async with answering(connection):
                try:
                    yield
                except psycopg.errors.InvalidParameterValue as error:
                    if ANOTHER_SERVER not in str(error):
                        raise
                    raise DatabaseUnavailable("its pooler leads to another server") from error
        except DatabaseUnavailable:
            await connection.close()
            # Another call may have replaced it meanwhile.
            if self._connection is connection:
                self._connection = None
            raise


def _key(claim: Claim) -> tuple[UUID, UUID, int]:
    return claim.job_id, claim.batch_id, claim.claim_epoch
