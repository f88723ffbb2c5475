"""Tells the database that this bridge is there, now and then, and at last that it goes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from importlib.metadata import version

import psycopg

from bridge.database import Database
from bridge.errors import DatabaseUnavailable, StagebusError, UnsafeDatabase
from bridge.logs import EventLog
from bridge.replay import code_digest

log = EventLog("stagebus.presence")

#: Seconds between two reports; the view `bridges` waits for a minute.
INTERVAL = 10.0

#: Seconds until the next try after one that failed.
RETRY = 2.0

#: Seconds that a bridge which drains has for its good-bye, with a connection for it, and the call
#: alone: whoever cancels a call that hangs waits for long. A row that stays does no harm.
GOOD_BYE = 2.5
LAST_CALL = 1.0


class Presence:
    """What the view `bridges` shows of this process."""

    def __init__(self, database: Database, lease: float) -> None:
        self._database = database
        self._lease = lease
        self._host = socket.gethostname()
        self._version = version("stagebus")
        self._digest = code_digest()
        self._told = False

    async def run(self) -> None:
        """Reports without end, and in the end says that it goes. Raises UnsafeDatabase."""
        try:
            while True:
                pause = RETRY
                try:
                    await self.tell()
                    pause = INTERVAL
                except DatabaseUnavailable as error:
                    log.debug("database.unavailable", error=str(error))
                except UnsafeDatabase:
                    raise
                except Exception:  # noqa: BLE001
                    log.error("presence.crashed", with_traceback=True)
                await asyncio.sleep(pause)
        finally:
            await self.leave()

    async def tell(self) -> None:
        """One report. Raises as the calls of Database do."""
        # Also when it is cancelled before the answer comes.
        self._told = True
        try:
            await self._database.report_bridge(
                self._host, os.getpid(), self._version, self._digest, self._lease
            )
        except psycopg.errors.UndefinedFunction as error:
            # The database has the version before this one: the bridge works, unseen.
            log.debug("presence.unknown", error=str(error).partition("\n")[0])

    async def leave(self) -> None:
        """Takes the report back, if the database answers soon."""
        if not self._told:
            return
        with contextlib.suppress(StagebusError, psycopg.Error, TimeoutError):
            async with asyncio.timeout(GOOD_BYE):
                await self._database.forget_bridge(LAST_CALL)
