"""What must be done now and then: lost attempts, retries, deadlines, orders, retention."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg

from bridge.errors import CallTimedOut, DatabaseUnavailable, UnsafeDatabase
from bridge.house_keeping import HouseKeeping
from bridge.logs import EventLog

log = EventLog("stagebus.maintenance")

#: Seconds between two rounds that had nothing left to do.
INTERVAL = 2.0

#: Seconds between two rounds that look for all attempts that were lost, however long ago.
LOOK_AT_EVERYTHING = 60.0

#: Tasks that one duty takes in one round, in one transaction.
LIMIT = 1000

#: Tasks that one step of an order takes.
ORDER_LIMIT = 10_000

#: Duties whose counts are logged.
COUNTED = ("lost_attempts", "retried_tasks", "republished_batches", "overdue_stages")

#: Rows that one step of retention removes. There is one in a round, so that it takes little of what
#: the database can do.
REMOVAL_LIMIT = 10_000

#: The smallest share of these that a slow database is asked for.
SMALLEST_SHARE = 0.001


class Pace:
    """The share of its limit that a duty is asked for: less where a whole step takes too long.

    Without it, a step that the call's deadline undoes would be tried again as it was, for ever.
    """

    def __init__(self) -> None:
        self.share = 1.0

    @contextmanager
    def step(self, limit: int) -> Iterator[int]:
        """The limit of a step, after which the next one is smaller or larger."""
        try:
            yield max(1, round(limit * self.share))
        except CallTimedOut:
            self.share = max(SMALLEST_SHARE, self.share / 2)
            raise
        self.share = min(1.0, self.share * 1.1)


@dataclass
class Paces:
    """One for each duty: what one of them waits for makes no other one smaller."""

    duties: Pace = field(default_factory=Pace)
    removal: Pace = field(default_factory=Pace)
    orders: dict[int, Pace] = field(default_factory=dict)
    everything_at: float = 0.0
    """When a round looks at everything again."""


async def run(database: HouseKeeping, jobs_due: asyncio.Event) -> None:
    """Rounds without end; a database that is away is asked again. Raises UnsafeDatabase.

    Sets `jobs_due` when there are jobs to advance.
    """
    paces = Paces()
    try:
        while True:
            more = False
            try:
                more = await run_once(database, paces, jobs_due)
            except CallTimedOut as error:
                log.warning("database.unavailable", error=str(error), share=paces.duties.share)
            except DatabaseUnavailable as error:
                log.debug("database.unavailable", error=str(error))
            except UnsafeDatabase:
                raise
            except Exception:  # noqa: BLE001
                # One round that fails must not end all those after it.
                log.error("maintenance.crashed", with_traceback=True)
            await asyncio.sleep(0 if more else INTERVAL)
    finally:
        await database.close()


async def run_once(database: HouseKeeping, paces: Paces, jobs_due: asyncio.Event) -> bool:
    """One round, and one step of each order and of retention; True: there is more to do at once."""
    now = time.monotonic()
    everything = now >= paces.everything_at
    try:
        with paces.duties.step(LIMIT) as limit:
            done = await database.maintain(limit, everything=everything)
    except CallTimedOut:
        if everything:
            # It may be too much: the rounds until then do without.
            paces.everything_at = now + LOOK_AT_EVERYTHING
        raise
    if everything and not done.more:
        paces.everything_at = now + LOOK_AT_EVERYTHING
    if done.due_jobs:
        jobs_due.set()
    counts = {duty: getattr(done, duty) for duty in COUNTED}
    if any(counts.values()):
        log.info("maintenance.done", **counts)
    more = done.more
    paces.orders = {order_id: paces.orders.get(order_id, Pace()) for order_id in done.orders}
    for order_id, pace in paces.orders.items():
        more |= await _work(database, order_id, pace)
    if done.removal_due:
        await _remove(database, paces.removal)
    return more


async def _work(database: HouseKeeping, order_id: int, pace: Pace) -> bool:
    """One step; True when the order goes on from here."""
    try:
        with pace.step(ORDER_LIMIT) as limit:
            order = await database.work_order(order_id, limit)
    except (psycopg.Error, CallTimedOut) as error:
        # Another session was in the way, or a defect of ours; the other orders go on.
        reason = str(error).partition("\n")[0]
        log.error("order.step_failed", order_id=order_id, error=reason)
        await database.fail_order_step(order_id, reason)
        return False
    if order.status == "done":
        log.info("order.done", order_id=order_id, action=order.action, tasks=order.tasks_done)
    return order.status == "working"


async def _remove(database: HouseKeeping, pace: Pace) -> None:
    """A step of removing what retention no longer keeps."""
    try:
        with pace.step(REMOVAL_LIMIT) as limit:
            removal = await database.drop_expired(limit)
    except (psycopg.Error, CallTimedOut) as error:
        # The duties go on.
        log.error("retention.step_failed", error=str(error).partition("\n")[0])
        return
    if removal.status in ("begun", "dropped"):
        log.info(f"retention.{removal.status}", partition=removal.partition)
