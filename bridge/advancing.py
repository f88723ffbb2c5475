"""Advances jobs that have a plan: their next stages, each job in a transaction of its own."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from bridge.errors import DatabaseUnavailable, UnsafeDatabase
from bridge.house_keeping import HouseKeeping
from bridge.logs import EventLog
from bridge.orders import DueJob

log = EventLog("stagebus.advancing")

#: Jobs that are advanced at a time, each over a connection of its own.
LANES = 4

#: Jobs of one type among them whose plan has functions: one that takes long holds up no other.
OF_A_TYPE = 2

#: Seconds that what is under way may take when the bridge is told to stop; then it is undone.
PATIENCE = 3.0

#: Jobs that are asked for at a time: looking takes milliseconds in which freed lanes wait.
LIMIT = 1000


class Advancing:
    """Hands due jobs to lanes, until it is cancelled."""

    def __init__(self, databases: Sequence[HouseKeeping], wake: asyncio.Event) -> None:
        self._databases = databases
        self._free = list(databases)
        self._wake = wake
        self._waiting: list[DueJob] = []
        #: Something came of a job since the last look.
        self._progress = False
        self._at_work: dict[asyncio.Task[None], DueJob] = {}
        self._refusal: UnsafeDatabase | None = None

    async def run(self) -> None:
        """Looks for due jobs at each hint, and after each job. Raises UnsafeDatabase.

        A look that a missed hint would have brought is brought by maintenance.
        """
        try:
            while True:
                self._wake.clear()
                try:
                    await self.run_once()
                except DatabaseUnavailable as error:
                    log.debug("database.unavailable", error=str(error))
                except UnsafeDatabase:
                    raise
                except Exception:  # noqa: BLE001
                    # A look that fails must not end all those after it.
                    log.error("advancing.crashed", with_traceback=True)
                await self._wake.wait()
        finally:
            if self._at_work:
                await asyncio.wait(self._at_work, timeout=PATIENCE)
            for task in self._at_work:
                task.cancel()
            await asyncio.gather(*self._at_work, return_exceptions=True)
            await asyncio.gather(*(database.close() for database in self._databases))

    async def run_once(self) -> None:
        """Sets the free lanes to work on the jobs that are due."""
        if self._refusal is not None:
            raise self._refusal
        self._start()
        if self._free:
            found = await self._free[0].due_jobs(LIMIT, self._full())
            known = {due.job_id for due in self._waiting}
            self._waiting += [due for due in found if due.job_id not in known]
            self._progress = False
            self._start()

    def _full(self) -> list[str]:
        """The types of which no further job is advanced for now."""
        at_work = Counter(due.job_type for due in self._at_work.values() if due.calls_functions)
        return [job_type for job_type, jobs in at_work.items() if jobs >= OF_A_TYPE]

    def _start(self) -> None:
        later = []
        at_work = {due.job_id for due in self._at_work.values()}
        for due in self._waiting:
            if due.job_id in at_work:
                continue
            if not self._free or due.job_type in self._full():
                later.append(due)
                continue
            database = self._free.pop()
            task = asyncio.create_task(self._advance(database, due))
            self._at_work[task] = due
        self._waiting = later

    async def _advance(self, database: HouseKeeping, due: DueJob) -> None:
        status = "unknown"
        try:
            done = await database.advance_job(due)
            status = done.status
            job = {"job_id": str(due.job_id), "job_type": due.job_type}
            if status == "failed":
                # The error's text may quote data; the view jobs has it.
                log.warning("job.advance_failed", **job)
            elif status == "advanced":
                log.info("job.advanced", **job, stages=done.stages, tasks=done.tasks)
            elif status == "nothing to make" and done.job_status not in ("created", "running"):
                log.info("job.ended", **job, status=done.job_status)
        except DatabaseUnavailable as error:
            log.warning("database.unavailable", error=str(error))
        except UnsafeDatabase as error:
            self._refusal = error
        except Exception:  # noqa: BLE001
            log.error("advancing.crashed", with_traceback=True, job_id=str(due.job_id))
        finally:
            # Before the next look, which asks for no job of a type that has enough at work.
            if (task := asyncio.current_task()) is not None:
                self._at_work.pop(task)
            self._free.append(database)
            # Of a job that another session is at, or whose database is away, nothing is heard at
            # once; maintenance tells of it.
            self._progress |= status not in ("busy", "unknown")
            if self._waiting or self._progress:
                self._wake.set()
