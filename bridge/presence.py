"""Tells the database that this bridge is there, now and then, and at last that it goes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from importlib.metadata import version
from uuid import UUID

import psycopg

from bridge.errors import StagebusError
from bridge.house_keeping import HouseKeeping
from bridge.logs import EventLog
from bridge.replay import code_digest

log = EventLog("stagebus.presence")

#: Seconds between two reports; the view `bridges` waits for a minute.
INTERVAL = 10.0

#: Seconds that a bridge which drains has for its good-bye. A row that stays does no harm.
GOOD_BYE = 2.0


class Presence:
    """What the view `bridges` shows of this process."""

    def __init__(self, bridge_id: UUID) -> None:
        self._bridge_id = bridge_id
        self._host = socket.gethostname()
        self._version = version("stagebus")
        self._digest = code_digest()
        self._next = 0.0
        self._told = False

    async def tell(self, database: HouseKeeping) -> None:
        """Reports, unless it did a moment ago. Raises as the calls of HouseKeeping do."""
        if time.monotonic() < self._next:
            return
        # Also when it is cancelled before the answer comes.
        self._told = True
        try:
            await database.report_bridge(
                self._bridge_id, self._host, os.getpid(), self._version, self._digest
            )
        except psycopg.errors.UndefinedFunction as error:
            # The database has the version before this one: the bridge works, unseen.
            log.debug("presence.unknown", error=str(error).partition("\n")[0])
        self._next = time.monotonic() + INTERVAL

    async def leave(self, database: HouseKeeping) -> None:
        """Takes the report back, if the database answers soon."""
        if not self._told:
            return
        with contextlib.suppress(StagebusError, psycopg.Error, TimeoutError):
            async with asyncio.timeout(GOOD_BYE):
                await database.forget_bridge(self._bridge_id, GOOD_BYE)
