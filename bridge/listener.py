"""Hears notifications on a connection of its own; hints that save a poll, never more."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import psycopg
from psycopg import sql

from bridge.connection import answering, connect
from bridge.errors import DatabaseUnavailable
from bridge.logs import EventLog

log = EventLog("stagebus.listener")

#: New batches may be claimed.
READY = "stagebus_ready"

#: A stage or a job has ended, or a job was submitted.
JOBS = "stagebus_jobs"

#: Seconds of silence after which the connection proves that it is alive, and within which.
HEARTBEAT = 10.0
HEARTBEAT_DEADLINE = 5.0


async def run(database_url: str, wakes: Mapping[str, asyncio.Event]) -> None:
    """Sets a channel's event at each of its notifications, all after each new connection."""
    delay = 0.1
    while True:
        try:
            connection = await connect(database_url, "listener")
            async with connection:
                async with answering(connection):
                    for channel in wakes:
                        await connection.execute(
                            sql.SQL("listen {}").format(sql.Identifier(channel))
                        )
                delay = 0.1
                # What was notified while nobody listened is found by looking.
                for wake in wakes.values():
                    wake.set()
                while True:
                    async for notice in connection.notifies(timeout=HEARTBEAT):
                        wakes[notice.channel].set()
                    async with answering(connection, HEARTBEAT_DEADLINE):
                        await connection.execute("select 1")
        except (psycopg.Error, DatabaseUnavailable) as error:
            log.warning("listener.lost", error=str(error).strip(), retry_in=delay)
        await asyncio.sleep(delay)
        delay = min(5.0, delay * 2)
