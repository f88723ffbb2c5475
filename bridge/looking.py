"""A job looked at again and again, over a database that may be away for a while."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TypeVar
from uuid import UUID

import psycopg
from psycopg import Connection
from psycopg.rows import DictRow, dict_row

from bridge.connection import AWAY, describe, with_defaults
from bridge.printing import visible

#: Seconds for which a database that has answered before is asked again, and between two tries:
#: a restart or a failover takes less.
PATIENCE, PAUSE = 60.0, 1.0

T = TypeVar("T")


def repeatedly(
    database_url: str,
    purpose: str,
    job_id: UUID,
    look: Callable[[Connection[DictRow]], T],
    *,
    every: float,
    timeout: float | None,
    away: Callable[[str], None],
) -> Iterator[T]:
    """What `look` finds: every so many seconds, and at once when a stage or the job ends.

    The last time when `timeout` seconds have passed, unless the database is away then. `away` is
    told once of each time that it is. Raises the driver's error when it has been for PATIENCE, or
    from the start.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    answered = False
    lost_at: float | None = None
    while True:
        try:
            with _connect(database_url, purpose) as connection:
                connection.execute("listen stagebus_jobs")
                while True:
                    found = look(connection)
                    at = time.monotonic()
                    answered, lost_at = True, None
                    yield found
                    if deadline is not None and at >= deadline:
                        return
                    _listen(connection, job_id, _earlier(at + every, deadline))
        except AWAY as error:
            now = time.monotonic()
            if lost_at is None:
                lost_at = now
                if answered:
                    away(visible(f"the database is away ({describe(error)}); it is asked again"))
            if not answered or now - lost_at >= PATIENCE:
                raise
            if deadline is not None and now >= deadline:
                return
            time.sleep(_earlier(now + PAUSE, deadline) - now)


def _connect(database_url: str, purpose: str) -> Connection[DictRow]:
    conninfo = with_defaults(database_url, purpose)
    return psycopg.connect(conninfo, autocommit=True, row_factory=dict_row)


def _listen(connection: Connection[DictRow], job_id: UUID, until: float) -> None:
    """Returns when something of the job has ended, or it is time."""
    for note in connection.notifies(timeout=max(until - time.monotonic(), 0.0)):
        if note.payload == str(job_id):
            return


def _earlier(at: float, deadline: float | None) -> float:
    return at if deadline is None else min(at, deadline)
