"""All or nothing: publishes a filling stage and waits for the yes or the no.

    found = publish_and_wait(database_url, job_id, 1, timedelta(seconds=30))
    if found.status == "withdrawn":
        print(found.reason)

These make a connection of their own, and again after it was lost. The answer is the database's: it
is confirmed or withdrawn whoever is killed, the caller included, and who asks again is told which.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from bridge.client.call import Call, call_async
from bridge.client.producer import Publication, publication, publish_stage
from bridge.connection import AWAY, CALL_DEADLINE, answering, connect, describe
from bridge.errors import CallTimedOut, DatabaseUnavailable, PublicationUnknown

#: Seconds between two looks, should the notification be missed.
LOOK = 1.0

#: Seconds for which a database that is away is asked again.
PATIENCE = 30.0

#: Seconds between two tries to reach it.
FIRST_DELAY = 0.1
LONGEST_DELAY = 2.0

Look = Callable[[Publication], None]


def publish_and_wait(
    database_url: str,
    job_id: UUID,
    stage: int,
    within: timedelta = timedelta(minutes=1),
    *,
    patience: float = PATIENCE,
    look: Look | None = None,
) -> Publication:
    """Publishes a filling stage, whose making is committed, and returns it confirmed or withdrawn.

    It is withdrawn after `within`, unless it is confirmed by then. `look` is told of each change.
    Called again for the same stage it waits, or answers, as the first time. Raises
    PublicationUnknown when the database has not answered for `patience` seconds, in which a large
    stage must be laid out, too (if it never has, the publication may not have begun, and the same
    call begins it), DatabaseUnavailable when it could not be reached from the start and nothing has
    happened, and what publish_stage raises.
    """
    return asyncio.run(
        publish_and_wait_async(database_url, job_id, stage, within, patience=patience, look=look)
    )


async def publish_and_wait_async(
    database_url: str,
    job_id: UUID,
    stage: int,
    within: timedelta = timedelta(minutes=1),
    *,
    patience: float = PATIENCE,
    look: Look | None = None,
) -> Publication:
    """As `publish_and_wait`, without blocking."""
    ask = publish_stage(job_id, stage, within)
    waiting = _Waiting(database_url, ask, patience, look, publishes=True)
    return await waiting.decision()


def wait_for_publication(
    database_url: str,
    job_id: UUID,
    stage: int,
    nonce: str | None = None,
    *,
    patience: float = PATIENCE,
    look: Look | None = None,
) -> Publication:
    """Returns a published stage once it is confirmed or withdrawn; `nonce` names one of several.

    Raises as `publish_and_wait`, and what publication raises.
    """
    return asyncio.run(
        wait_for_publication_async(database_url, job_id, stage, nonce, patience=patience, look=look)
    )


async def wait_for_publication_async(
    database_url: str,
    job_id: UUID,
    stage: int,
    nonce: str | None = None,
    *,
    patience: float = PATIENCE,
    look: Look | None = None,
) -> Publication:
    """As `wait_for_publication`, without blocking."""
    waiting = _Waiting(database_url, publication(job_id, stage, nonce), patience, look)
    return await waiting.decision()


class _Waiting:
    """One caller that waits for one decision."""

    def __init__(
        self,
        database_url: str,
        ask: Call[Publication],
        patience: float,
        look: Look | None,
        *,
        publishes: bool = False,
    ) -> None:
        self._url = database_url
        self._ask = ask
        self._patience = patience
        self._publishes = publishes
        self._look = look
        self._heard = time.monotonic()
        self._asked = False
        self._found: Publication | None = None

    async def decision(self) -> Publication:
        delay = FIRST_DELAY
        while True:
            heard = self._heard
            try:
                connection = await connect(self._url, "publish")
                async with connection:
                    return await self._listen_and_look(connection)
            except DatabaseUnavailable as error:
                if time.monotonic() - self._heard >= self._patience:
                    raise self._given_up(error) from error
            delay = FIRST_DELAY if self._heard > heard else min(LONGEST_DELAY, delay * 2)
            await asyncio.sleep(delay)

    async def _listen_and_look(self, connection: AsyncConnection[TupleRow]) -> Publication:
        async with answering(connection):
            await connection.execute("listen stagebus_jobs")
        while True:
            left = max(1.0, self._patience - (time.monotonic() - self._heard))
            # Publishing takes long for a large stage; asking what became of it does not.
            within = left if self._publishes else min(CALL_DEADLINE, left)
            async with answering(connection, within):
                # It may be done though nobody hears the answer; said again, it is answered again.
                self._asked = True
                found = await call_async(connection, self._ask)
            self._heard = time.monotonic()
            self._ask = publication(found.job_id, found.stage, found.nonce)
            if found != self._found and self._look is not None:
                self._look(found)
            self._found, self._publishes = found, False
            if found.status != "waiting":
                return found
            try:
                async for _ in connection.notifies(timeout=LOOK, stop_after=1):
                    pass
            except AWAY as error:
                raise DatabaseUnavailable(describe(error)) from error

    def _given_up(self, error: DatabaseUnavailable) -> DatabaseUnavailable | PublicationUnknown:
        if not self._asked:
            return error
        job_id, stage, last = self._ask.arguments
        # Its nonce, if there is one; of a publish_stage it is the time.
        named = (job_id, stage, last) if isinstance(last, str) else (job_id, stage)
        asked = ", ".join(f"'{part}'" for part in named)
        said = f"the database has not answered for {self._patience:g} s ({error})"
        if self._publishes and isinstance(error, CallTimedOut):
            said = (
                f"the call was given up after {self._patience:g} s: the stage is large, or somebody"
                " has it locked (publish_stage, or stagebus publish without --wait, is given all"
                " the time that it takes)"
            )
        # A call that was not answered may have done nothing.
        begun = "It" if self._found is not None else "If its publication has begun, it"
        return PublicationUnknown(
            f"what became of stage {stage} of job {job_id} is not known: {said}. {begun} is or will"
            " be confirmed or withdrawn: ask again, with the same command or"
            f" stagebus.publication({asked})"
        )
