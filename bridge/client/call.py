"""A call of one function in SQL: what is sent, and what becomes of its rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, LiteralString, TypeVar

from psycopg import AsyncConnection, Connection
from psycopg.rows import tuple_row

from bridge.client.refusals import translated
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
    """Runs it; raises a class of `refusals`, or psycopg's own error where it is none of ours."""
    with translated(), connection.cursor(row_factory=tuple_row) as cursor:
        return what.read(cursor.execute(what.query, what.arguments).fetchall())


async def call_async(connection: AsyncConnection[Any], what: Call[T]) -> T:
    """As `call`, without blocking."""
    with translated():
        async with connection.cursor(row_factory=tuple_row) as cursor:
            await cursor.execute(what.query, what.arguments)
            return what.read(await cursor.fetchall())


def value(rows: Sequence[Any]) -> Any:
    ((value,),) = rows
    return value


def texts(values: Sequence[Json | Parameters | None]) -> list[str | None]:
    return [None if value is None else dumps(value) for value in values]
