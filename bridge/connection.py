"""How any part of the service connects to PostgreSQL, and what it means to lose that connection."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow

from bridge.errors import CallTimedOut, DatabaseUnavailable, SettingsError

#: A server that does not answer is noticed within these (seconds; tcp_user_timeout in ms).
CONNECTION_DEFAULTS: dict[str, str | int] = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15000,
}

#: Seconds after which a call without an answer is given up. The kernel's own limits do not notice a
#: host whose proxy or load balancer still acknowledges every packet.
CALL_DEADLINE = 15.0

#: Seconds for which a server that is slow, not gone, may take to end a call that is given up.
CANCEL_PATIENCE = 1.0

#: What psycopg raises when the server is away, or not yet itself again: the connection was lost,
#: or was closed by another call, or the server is a standby (read-only) after a failover.
AWAY = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError)


async def connect(database_url: str, purpose: str) -> AsyncConnection[TupleRow]:
    """An autocommit connection; raises DatabaseUnavailable, SettingsError."""
    conninfo = with_defaults(database_url, purpose)
    try:
        # Without prepared statements, which a pooler of transactions may not know.
        connection = await AsyncConnection.connect(
            conninfo, autocommit=True, prepare_threshold=None
        )
    except AWAY as error:
        raise DatabaseUnavailable(describe(error)) from error
    try:
        async with answering(connection):
            # What a send's record or a completion says must survive a crash.
            await connection.execute("set synchronous_commit = on")
    except BaseException:
        # Cancelled, too: nobody else knows this connection yet.
        await connection.close()
        raise
    return connection


@contextlib.asynccontextmanager
async def answering(
    connection: AsyncConnection[TupleRow], within: float | None = None
) -> AsyncIterator[None]:
    """A block of calls that is over in `within` seconds (CALL_DEADLINE), and CANCEL_PATIENCE more.

    Raises DatabaseUnavailable when the connection is lost, and CallTimedOut when the time has
    passed: then the connection is of no more use. A server that is only slow is told to stop first,
    so that what it still does does not pile up behind a lock.
    """
    within = CALL_DEADLINE if within is None else within
    cutting: asyncio.Task[None] | None = None

    def give_up() -> None:
        nonlocal cutting
        cutting = asyncio.create_task(_cut(connection))

    timer = asyncio.get_running_loop().call_later(within, give_up)
    try:
        yield
    except AWAY as error:
        if (task := asyncio.current_task()) is not None and task.cancelling():
            # The driver waits for an answer before it passes a cancellation on, and lost it.
            raise asyncio.CancelledError from error
        if cutting is not None:
            raise CallTimedOut(f"no answer within {within:g} seconds") from error
        raise DatabaseUnavailable(describe(error)) from error
    finally:
        timer.cancel()
        if cutting is not None:
            cutting.cancel()
            await asyncio.gather(cutting, return_exceptions=True)


async def _cut(connection: AsyncConnection[TupleRow]) -> None:
    """Makes the call that waits on this connection fail: by the server, else without it.

    Cancelling the task that waits would not do: the driver would wait for the server's answer.
    """
    with contextlib.suppress(psycopg.Error, TimeoutError):
        async with asyncio.timeout(CANCEL_PATIENCE):
            await connection.cancel_safe(timeout=CANCEL_PATIENCE)
            # It has been told; its answer ends the block, and this task with it.
            await asyncio.Event().wait()
    with (
        contextlib.suppress(psycopg.Error, OSError),
        socket.socket(fileno=os.dup(connection.pgconn.socket)) as same,
    ):
        # Whoever waits on it sees the end of the connection.
        same.shutdown(socket.SHUT_RDWR)


def check_url(database_url: str) -> dict[str, object]:
    """The parts of a libpq URL or conninfo string; raises SettingsError."""
    try:
        return dict(conninfo_to_dict(database_url))
    except psycopg.ProgrammingError:
        # libpq's own message quotes the string, and with it the password.
        raise SettingsError(
            "the database URL (STAGEBUS_DATABASE_URL) is not one: it has the form"
            " postgresql://USER@HOST/DATABASE, or that of a conninfo string"
        ) from None


def with_defaults(database_url: str, purpose: str) -> str:
    """The caller's conninfo, and our defaults for what it does not say."""
    given = check_url(database_url)
    defaults = {"application_name": f"stagebus {purpose}", **CONNECTION_DEFAULTS}
    return make_conninfo(
        database_url, **{key: value for key, value in defaults.items() if key not in given}
    )


def describe(error: psycopg.Error) -> str:
    """One line of what the driver says."""
    return " ".join(str(error).split()) or type(error).__name__
