"""A worker's calls of the database: each is repeated until it has been answered.

Numbers of parameters and results keep their value on the way (exact_json).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import LiteralString, NamedTuple
from uuid import UUID

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg.types.json import set_json_loads

from bridge.connection import AWAY, answering, connect
from bridge.errors import DatabaseUnavailable, ResultRefused
from bridge.exact_json import Json, dumps, loads
from bridge.logs import EventLog
from bridge.text import storable

log = EventLog("stagebus.worker")

#: Seconds between two tries to reach a database or a broker that is away.
FIRST_DELAY = 0.1
LONGEST_DELAY = 5.0

#: Seconds for which a worker that is told to stop goes on asking for a database that is away.
STOP_PATIENCE = 3.0

#: SQLSTATEs of a result that is too large, and of one that nests too deep (docs/errors.md).
REFUSED_RESULT = ("SB117", "SB118")

#: A result of more characters in ASCII is over stagebus.result_limit() in UTF-8, too, and is not
#: even sent: six characters, `\u00e9`, stand for two bytes at least.
LONGEST_SENT = 3 * 65_536


class Asked(NamedTuple):
    """What a message asks for; messages that ask for the same are repeats of one another."""

    task_id: str
    attempt: int
    nonce: str
    task_type: str


class Answer(NamedTuple):
    """A row of start_tasks; parameters and lease come with `run` alone, the delay with `wait`."""

    task_id: str
    verdict: str
    parameters: dict[str, Json]
    lease: timedelta
    ask_again_after: timedelta


class Completed(NamedTuple):
    """What became of some tasks that were done."""

    completed: int
    """How many of them are completed by this token."""
    refused: dict[str, str]
    """The ids of those whose result cannot be kept, and why; nothing was changed of them."""


@dataclass(frozen=True, slots=True)
class TaskFailed:
    """What a handler returns in place of a result: why, and whether to try again.

    The task type's max_attempts and backoff decide how often and when; without `retry` it has
    failed for good.
    """

    error: str
    retry: bool = True


class TaskCalls:
    """One connection that is made when it is needed, and again after it was lost.

    With the same token every call may be repeated: `start_tasks` answers `run` again, and
    `complete_tasks` `completed`, `fail_tasks` `retry_wait` or `failed`. So a lost answer harms
    nothing, and the calls raise DatabaseUnavailable only once `stopping` is set and the database
    has been away for STOP_PATIENCE seconds since.
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
            "select task_id, verdict, parameters, lease_until - clock_timestamp(), ask_again_after"
            " from stagebus.start_tasks(%s, %s, %s, %s, %s)",
            [each.task_id for each in asked],
            [each.attempt for each in asked],
            [each.nonce for each in asked],
            token,
            worker,
        )
        return [Answer(*row) for row in rows]

    async def complete_tasks(
        self, task_ids: Sequence[str], token: UUID, results: Sequence[Json]
    ) -> Completed:
        """Completes all of them but those whose result is refused; None is no result."""
        written: dict[str, str | None] = {}
        refused: dict[str, str] = {}
        for task_id, result in zip(task_ids, results, strict=True):
            try:
                text = None if result is None else dumps(result)
            except (TypeError, ValueError) as error:
                refused[task_id] = str(error)
                continue
            if text is not None and len(text) > LONGEST_SENT:
                refused[task_id] = f"too large: {len(text)} characters of JSON"
            else:
                written[task_id] = text
        try:
            return Completed(await self._complete(written, token), refused)
        except ResultRefused:
            # It refused the whole call: each goes alone.
            completed = 0
            for task_id, text in written.items():
                try:
                    completed += await self._complete({task_id: text}, token)
                except ResultRefused as error:
                    refused[task_id] = str(error)
            return Completed(completed, refused)

    async def heartbeat_tasks(self, task_ids: Sequence[str], token: UUID) -> set[str]:
        """Renews the leases; returns those of the tasks that are no longer this token's."""
        rows = await self._call(
            "select task_id from stagebus.heartbeat_tasks(%s, %s) where lease_until is null",
            list(task_ids),
            token,
        )
        return {task_id for (task_id,) in rows}

    async def fail_tasks(self, failed: Mapping[str, TaskFailed], token: UUID) -> int:
        """How many attempts this token has ended, now or before: retry_wait or failed."""
        ended = 0
        for retry in (True, False):
            errors = {
                task_id: storable(each.error)
                for task_id, each in failed.items()
                if bool(each.retry) is retry
            }
            if not errors:
                continue
            rows = await self._call(
                "select verdict from stagebus.fail_tasks(%s, %s, %s, retry => %s)",
                list(errors),
                token,
                list(errors.values()),
                retry,
            )
            ended += sum(verdict in ("retry_wait", "failed") for (verdict,) in rows)
        return ended

    async def _complete(self, results: Mapping[str, str | None], token: UUID) -> int:
        """How many are completed by this token; raises ResultRefused, and then it is none."""
        try:
            rows = await self._call(
                "select verdict from stagebus.complete_tasks(%s, %s, %s::text[]::jsonb[])",
                list(results),
                token,
                list(results.values()),
            )
        except psycopg.Error as error:
            if isinstance(error, psycopg.DataError) or error.sqlstate in REFUSED_RESULT:
                # Without the context, which quotes the result.
                said = (error.diag.message_primary, error.diag.message_detail)
                raise ResultRefused(": ".join(filter(None, said))) from error
            raise
        return sum(verdict == "completed" for (verdict,) in rows)

    async def _call(self, query: LiteralString, *arguments: object) -> list[TupleRow]:
        delay = FIRST_DELAY
        give_up: float | None = None
        while True:
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = await connect(self._database_url, "worker")
                    set_json_loads(loads, self._connection)
                async with answering(self._connection):
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
