"""How any part of the service connects to PostgreSQL, and what it means to lose that connection."""

from __future__ import annotations

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow

from bridge.errors import DatabaseUnavailable, SettingsError

#: A server that does not answer is noticed within these (seconds; tcp_user_timeout in ms).
CONNECTION_DEFAULTS: dict[str, str | int] = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15000,
}

#: What psycopg raises when the server is away, or not yet itself again: the connection was lost,
#: or was closed by another call, or the server is a standby (read-only) after a failover.
AWAY = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError)


async def connect(database_url: str, purpose: str) -> AsyncConnection[TupleRow]:
    """An autocommit connection; raises DatabaseUnavailable, SettingsError."""
    conninfo = _with_defaults(database_url, purpose)
    try:
        connection = await AsyncConnection.connect(conninfo, autocommit=True)
    except AWAY as error:
        raise DatabaseUnavailable(describe(error)) from error
    try:
        # What a send's record or a completion says must survive a crash.
        await connection.execute("set synchronous_commit = on")
    except BaseException as error:
        # Cancelled, too: nobody else knows this connection yet.
        await connection.close()
        if isinstance(error, AWAY):
            raise DatabaseUnavailable(describe(error)) from error
        raise
    return connection


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


def _with_defaults(database_url: str, purpose: str) -> str:
    """The caller's conninfo, and our defaults for what it does not say."""
    given = check_url(database_url)
    defaults = {"application_name": f"stagebus {purpose}", **CONNECTION_DEFAULTS}
    return make_conninfo(
        database_url, **{key: value for key, value in defaults.items() if key not in given}
    )


def describe(error: psycopg.Error) -> str:
    """One line of what the driver says."""
    return " ".join(str(error).split()) or type(error).__name__
