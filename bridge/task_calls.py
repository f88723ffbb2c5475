"""A worker's calls of the database: each is repeated until it has been answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import LiteralString, NamedTuple
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb
from pydantic import JsonValue

from bridge.connection import AWAY, connect
from bridge.errors import DatabaseUnavailable
from bridge.logs import EventLog

log = EventLog("stagebus.worker")

#: Seconds between two tries to reach a database or a broker that is away.
FIRST_DELAY = 0.1
LONGEST_DELAY = 5.0

#: Seconds for which a worker that is told to stop goes on asking for a database that is away.
STOP_PATIENCE = 3.0


class Asked(NamedTuple):
    """What a message asks for; messages that ask for the same are repeats of one another."""

    task_id: str
    attempt: int
    nonce: str
    task_type: str


class Answer(NamedTuple):
    """A row of start_tasks; the parameters and the delay come with `run` and `wait` alone."""

    task_id: str
    verdict: str
    parameters: dict[str, JsonValue]
    ask_again_after: timedelta


class TaskCalls:
    """One connection that is made when it is needed, and again after it was lost.

    With the same token every call may be repeated: `start_tasks` answers `run` again, and
    `complete_tasks` `completed`. So a lost answer harms nothing, and the calls raise
    DatabaseUnavailable only once `stopping` is set and the database has been away for
    STOP_PATIENCE seconds since.
    """

    def __init__(self, database_url: str, stopping: asyncio.Event) -> None:
        self._database_url = database_url
        self._stopping = stopping
        self._connection: AsyncConnection[TupleRow] | None = None

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def start_tasks(
        self, asked: Sequence[Asked], token: UUID, worker: str | None
    ) -> list[Answer]:
        """The verdicts, in the order of `asked`."""
        rows = await self._call(
            "select task_id, verdict, parameters, ask_again_after"
            " from stagebus.start_tasks(%s, %s, %s, %s, %s)",
            [each.task_id for each in asked],
            [each.attempt for each in asked],
            [each.nonce for each in asked],
            token,
            worker,
        )
        return [Answer(*row) for row in rows]

    async def complete_tasks(
        self, task_ids: Sequence[str], token: UUID, results: Sequence[JsonValue]
    ) -> int:
        """How many of the tasks are completed by this token; a result of None is no result."""
        rows = await self._call(
            "select task_id, verdict from stagebus.complete_tasks(%s, %s, %s::jsonb[])",
            list(task_ids),
            token,
            [None if result is None else Jsonb(result) for result in results],
        )
        return sum(verdict == "completed" for _, verdict in rows)

    async def _call(self, query: LiteralString, *arguments: object) -> list[TupleRow]:
        delay = FIRST_DELAY
        give_up: float | None = None
        while True:
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = await connect(self._database_url, "worker")
                cursor = await self._connection.execute(query, arguments)
                return await cursor.fetchall()
            except (DatabaseUnavailable, *AWAY) as error:
                await self.close()
                reason = " ".join(str(error).split())
                if self._stopping.is_set():
                    give_up = give_up or time.monotonic() + STOP_PATIENCE
                    if time.monotonic() >= give_up:
                        raise DatabaseUnavailable(reason) from error
                log.warning("database.unavailable", error=reason, retry_in=delay)
            await asyncio.sleep(delay)
            delay = min(LONGEST_DELAY, delay * 2)
