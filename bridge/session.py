"""A connection to PostgreSQL that is made again after it was lost, to a server that was asked."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row

from bridge.connection import answering, connect
from bridge.errors import DatabaseUnavailable, UnsafeDatabase
from bridge.failpoints import shut_down
from bridge.logs import EventLog
from bridge.witness import Witness

log = EventLog("stagebus.database")

#: Joined to every call that writes: its commit waits for the disk, whatever the session has been
#: told. Behind a pooler of transactions each call may have another session.
DURABLY = "set_config('synchronous_commit', 'on', true)"

#: What a server is told to set that was started at another time than the call expects.
ANOTHER_SERVER = "another server"


def _there(synchronous_commit: str) -> str:
    """Joined to a call that only the server may do that was asked what it remembers.

    For any other the value is wrong, so the whole call fails: that costs a third of what a function
    would.
    """
    return (
        "set_config('synchronous_commit', case pg_postmaster_start_time() when %s"
        f" then '{synchronous_commit}' else '{ANOTHER_SERVER}' end, true)"
    )


#: Its commit waits for the disk.
DURABLY_THERE = _there("on")

#: Its commit may come to the disk a moment later, and with any other that waits for it: for what is
#: done again when it is lost, and what nobody acts on without a commit that waits.
SOON_THERE = _there("off")

T = TypeVar("T")


class Session:
    """One connection, which several calls may share.

    The first call on each new one asks the server whether it has what `witness` knows to be
    committed. If not, all destinations are paused, and no claim from before is ours any more.
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

    async def _ask(self, connection: AsyncConnection[TupleRow]) -> None:
        """What is this server, and has it all that we were told is committed?"""
        writes = self._witness.writes()
        try:
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
        except psycopg.errors.UndefinedFunction as error:
            raise DatabaseUnavailable(
                "the database has an older stagebus than this bridge: stagebus migrate"
            ) from error
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

    async def _rows(
        self,
        kind: type[T],
        columns: str,
        call: str,
        arguments: Sequence[object],
        within: float | None = None,
        there: str = DURABLY_THERE,
    ) -> tuple[datetime, list[T]]:
        """What a call answers, and which server."""
        async with self._connected(within=within) as connection:
            server = self._witness.server
            assert server is not None
            cursor = connection.cursor(row_factory=class_row(kind))
            await cursor.execute(
                f"select {columns} from {there}, {call}",  # noqa: S608
                (server, *arguments),
            )
            return server, await cursor.fetchall()

    @asynccontextmanager
    async def _connected(
        self, *, asked: bool = True, within: float | None = None
    ) -> AsyncIterator[AsyncConnection[TupleRow]]:
        """The connection, for one call; it is dropped when the call finds it lost.

        `asked`: the server has been asked for what it remembers. `within`: seconds that the call
        may take, if not CALL_DEADLINE.
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
        async with self._dropped_if_lost(connection, within):
            yield connection

    @asynccontextmanager
    async def _dropped_if_lost(
        self, connection: AsyncConnection[TupleRow], within: float | None = None
    ) -> AsyncIterator[None]:
        try:
            async with answering(connection, within):
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
