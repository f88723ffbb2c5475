"""A call of one function in SQL: what is sent, and what becomes of its rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, LiteralString, TypeVar

import psycopg
from psycopg import AsyncConnection, Connection
from psycopg.rows import tuple_row

from bridge.errors import CallRefused
from bridge.exact_json import Json, dumps

T = TypeVar("T")
Parameters = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One call of one function; nothing has happened until it is run."""

    query: LiteralString
    arguments: tuple[object, ...]
    read: Callable[[Sequence[Any]], T]


def call(connection: Connection[Any], what: Call[T]) -> T:
    """Runs it; raises CallRefused, or psycopg's own error for a connection that failed."""
    try:
        with connection.cursor(row_factory=tuple_row) as cursor:
            return what.read(cursor.execute(what.query, what.arguments).fetchall())
    except psycopg.Error as error:
        raise _refused(error) from error


async def call_async(connection: AsyncConnection[Any], what: Call[T]) -> T:
    """As `call`, without blocking."""
    try:
        async with connection.cursor(row_factory=tuple_row) as cursor:
            await cursor.execute(what.query, what.arguments)
            return what.read(await cursor.fetchall())
    except psycopg.Error as error:
        raise _refused(error) from error


def _refused(error: psycopg.Error) -> Exception:
    if error.sqlstate is None or not error.sqlstate.startswith("SB"):
        return error
    return CallRefused(
        error.sqlstate,
        error.diag.message_primary or "",
        error.diag.message_detail or "",
        error.diag.message_hint or "",
    )


def value(rows: Sequence[Any]) -> Any:
    ((value,),) = rows
    return value


def texts(values: Sequence[Json | Parameters | None]) -> list[str | None]:
    return [None if value is None else dumps(value) for value in values]
