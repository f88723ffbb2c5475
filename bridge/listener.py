"""Hears `stagebus_ready` on a connection of its own; a hint that saves a poll, never more."""

from __future__ import annotations

import asyncio

import psycopg

from bridge.connection import answering, connect
from bridge.errors import DatabaseUnavailable
from bridge.logs import EventLog

log = EventLog("stagebus.listener")

CHANNEL = "stagebus_ready"

#: Seconds of silence after which the connection proves that it is alive, and within which.
HEARTBEAT = 10.0
HEARTBEAT_DEADLINE = 5.0


async def run(database_url: str, wake: asyncio.Event) -> None:
    """Sets `wake` at each notification and after each new connection, for ever."""
    delay = 0.1
    while True:
        try:
            connection = await connect(database_url, "listener")
            async with connection:
                async with answering(connection):
                    await connection.execute(f"listen {CHANNEL}")
                delay = 0.1
                # What was notified while nobody listened is found by looking.
                wake.set()
                while True:
                    async for _ in connection.notifies(timeout=HEARTBEAT):
                        wake.set()
                    async with answering(connection, HEARTBEAT_DEADLINE):
                        await connection.execute("select 1")
        except (psycopg.Error, DatabaseUnavailable) as error:
            log.warning("listener.lost", error=str(error).strip(), retry_in=delay)
        await asyncio.sleep(delay)
        delay = min(5.0, delay * 2)
