"""What must be done now and then: lost attempts, due retries, deadlines, and operators' orders."""

from __future__ import annotations

import asyncio
from dataclasses import asdict

import psycopg

from bridge.database import Database
from bridge.errors import DatabaseUnavailable
from bridge.logs import EventLog

log = EventLog("stagebus.maintenance")

#: Seconds between two rounds that had nothing left to do.
INTERVAL = 2.0

#: Tasks that one duty takes in one round, in one transaction.
LIMIT = 1000


async def run(database_url: str) -> None:
    """Rounds without end; a database that is away is asked again."""
    database = Database(database_url, "maintenance")
    try:
        while True:
            more = False
            try:
                more = await run_once(database)
            except DatabaseUnavailable as error:
                log.debug("database.unavailable", error=str(error))
            except Exception:  # noqa: BLE001
                # One round that fails must not end all those after it.
                log.error("maintenance.crashed", with_traceback=True)
            await asyncio.sleep(0 if more else INTERVAL)
    finally:
        await database.close()


async def run_once(database: Database) -> bool:
    """One round, and one step of each order; True when there is more to do at once."""
    done = await database.maintain(LIMIT)
    counts = asdict(done)
    if any(counts.values()):
        log.info("maintenance.done", **counts)
    more = max(done.lost_attempts, done.retried_tasks) >= LIMIT or done.republished_batches > 0
    for order_id in await database.working_orders():
        more |= await _work(database, order_id)
    return more


async def _work(database: Database, order_id: int) -> bool:
    """One step; True when the order goes on from here."""
    try:
        order = await database.work_order(order_id)
    except psycopg.Error as error:
        # Another session was in the way, or a defect of ours; the other orders go on.
        reason = str(error).partition("\n")[0]
        log.error("order.step_failed", order_id=order_id, error=reason)
        await database.fail_order_step(order_id, reason)
        return False
    if order.status == "done":
        log.info("order.done", order_id=order_id, action=order.action, tasks=order.tasks_done)
    return order.status == "working"
