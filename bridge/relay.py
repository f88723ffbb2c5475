"""The bridge: claims ready batches and hands them to its lanes, until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import TypeVar
from uuid import UUID, uuid4

from bridge import dead_letters, listener, maintenance
from bridge.advancing import LANES, Advancing
from bridge.batch import Claim
from bridge.database import Database
from bridge.errors import DatabaseUnavailable, UnsafeDatabase
from bridge.house_keeping import HouseKeeping
from bridge.lane import Lane, Result
from bridge.logs import EventLog
from bridge.presence import Presence
from bridge.session import Session
from bridge.settings import Settings
from bridge.witness import Witness

log = EventLog("stagebus.relay")

S = TypeVar("S", bound=Session)

#: Seconds between two looks at a queue that ran dry: from the first to (the setting) poll.
FIRST_POLL = 0.05

#: Seconds after which a claim looks at all batches, not only at those whose turn has come. A bridge
#: that waits for so long from one look to the next looks at all of them each time.
FULL_LOOK = 2.0
IDLE_POLL = 0.4

#: Seconds for which no batch is claimed after the broker could not be reached, doubled each time.
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 5.0

#: Claims in a row that may fail for a reason that nobody foresaw: half a minute of them. With one
#: more the bridge ends, and whoever starts it again has it look at the database's version, too.
MOST_CRASHES = 10


class Relay:
    """One bridge process: a new identity at each start, any number side by side."""

    def __init__(self, settings: Settings) -> None:
        self.bridge_id: UUID = uuid4()
        self._settings = settings
        self._witness = Witness(self.bridge_id)
        self._database = self._connection(Database, "relay")
        self._stopping = asyncio.Event()
        self._wake = asyncio.Event()
        self._jobs_due = asyncio.Event()
        self._lanes = [
            Lane(settings, self._connection(Database, "lane"), self._stopping)
            for _ in range(settings.connections)
        ]
        self._free = list(self._lanes)
        self._at_work: set[asyncio.Task[None]] = set()
        self._home: asyncio.Task[None] | None = None
        self._full_look_at = 0.0
        #: When something of a destination with a rate limit can be claimed again.
        self._limited_until = 0.0
        self._paused_until = 0.0
        self._pause = FIRST_PAUSE
        self._refusal: UnsafeDatabase | None = None
        self._results: Counter[Result] = Counter()

    def stop(self) -> None:
        """Begins to drain: no new claim, no new send; what is in flight is recorded.

        To be called in the event loop of `run`.
        """
        if not self._stopping.is_set():
            log.info("bridge.draining", batches=len(self._at_work))
            for lane in self._lanes:
                lane.hurry()
            if self._home is not None:
                # Its links close while the lanes finish. Once alone: the next would disturb that.
                self._home.cancel()
        self._stopping.set()
        self._wake.set()

    async def run(self) -> None:
        """Publishes until `stop` is called and everything is given back.

        Waits for a database and a broker that are not there yet, or not any more. Raises
        IncompatibleDatabase, UnsafeDatabase, and whatever claiming keeps raising.
        """
        background: list[asyncio.Task[None]] = []
        try:
            if await self.wait_for_database():
                log.info(
                    "bridge.started",
                    bridge_id=str(self.bridge_id),
                    host=socket.gethostname(),
                    pid=os.getpid(),
                    connections=self._settings.connections,
                )
                background = [
                    asyncio.create_task(
                        listener.run(
                            self._settings.database_url,
                            {listener.READY: self._wake, listener.JOBS: self._jobs_due},
                        )
                    ),
                    asyncio.create_task(self._keep(self._tell)),
                    asyncio.create_task(self._keep(self._maintain)),
                    asyncio.create_task(self._keep(self._advance)),
                ]
                if self._settings.dead_letters:
                    self._home = asyncio.create_task(self._keep(self._bring_home))
                try:
                    await self._claim_until_stopped()
                except Exception:
                    self.stop()
                    raise
                finally:
                    if self._stopping.is_set() and self._at_work:
                        await asyncio.wait(self._at_work)
        finally:
            for task in (*background, *self._at_work):
                task.cancel()
            if self._home is not None:
                background.append(self._home)
                if not self._home.cancelling():
                    self._home.cancel()
            await asyncio.gather(*background, *self._at_work, return_exceptions=True)
            await self.close()
        batches = {result.value: self._results[result] for result in Result}
        log.info("bridge.stopped", bridge_id=str(self.bridge_id), **batches)

    async def wait_for_database(self) -> bool:
        """True once the database answers; False when told to stop before.

        Raises IncompatibleDatabase, UnsafeDatabase.
        """
        delay = FIRST_POLL
        while not self._stopping.is_set():
            try:
                await self._database.check_api()
                await self._database.check_server()
            except DatabaseUnavailable as error:
                log.warning("database.unavailable", error=str(error), retry_in=delay)
                self._wake.clear()
                if not self._stopping.is_set():
                    await self._sleep(delay)
                delay = min(self._settings.poll, delay * 2)
            else:
                return True
        return False

    async def close(self) -> None:
        """Closes its connections; `run` does it by itself."""
        await asyncio.gather(*(lane.close() for lane in self._lanes))
        await self._database.close()

    async def run_once(self, *, idle: bool = False) -> int:
        """Claims for the lanes that are free and sets them to work; returns how many batches."""
        if not self._free:
            return 0
        if not idle and time.monotonic() < self._full_look_at:
            return len(await self._claim(everything=False))
        claims = await self._claim(everything=True)
        # If all were claimed before, more leases may be lost: the next look is for them, too.
        if not claims or any(claim.claim_epoch == 1 for claim in claims):
            self._full_look_at = time.monotonic() + FULL_LOOK
        return len(claims)

    async def _claim(self, *, everything: bool) -> list[Claim]:
        claimed_at = time.monotonic()
        claims = await self._database.claim_batches(
            len(self._free), self._settings.lease, everything=everything
        )
        if waits := [claim.limited_for for claim in claims if claim.limited_for is not None]:
            self._limited_until = time.monotonic() + min(waits).total_seconds()
        for claim in claims:
            lane = self._free.pop()
            task = asyncio.create_task(self._work(lane, claim, claimed_at))
            self._at_work.add(task)
            task.add_done_callback(self._at_work.discard)
        return claims

    async def _work(self, lane: Lane, claim: Claim, claimed_at: float) -> None:
        try:
            result = await lane.publish(claim, claimed_at)
        except UnsafeDatabase as error:
            self._refusal = error
            result = Result.LOST
        except Exception:  # noqa: BLE001
            # A defect of ours must not stop the bridge; the lease brings the batch back.
            log.error("lane.crashed", with_traceback=True, batch_id=str(claim.batch_id))
            result = Result.LOST
        finally:
            self._free.append(lane)
            self._wake.set()
        self._results[result] += 1
        if result is Result.UNREACHABLE:
            self._paused_until = time.monotonic() + self._pause
            self._pause = min(LONGEST_PAUSE, self._pause * 2)
        else:
            self._pause = FIRST_PAUSE

    def _tell(self) -> Coroutine[None, None, None]:
        # On the connection that claims: what says that the bridge is there is what publishes.
        return Presence(self._database, self._settings.lease).run()

    def _maintain(self) -> Coroutine[None, None, None]:
        return maintenance.run(self._connection(HouseKeeping, "maintenance"), self._jobs_due)

    def _advance(self) -> Coroutine[None, None, None]:
        lanes = [self._connection(HouseKeeping, "advancing") for _ in range(LANES)]
        return Advancing(lanes, self._jobs_due).run()

    def _bring_home(self) -> Coroutine[None, None, None]:
        database = self._connection(HouseKeeping, "dead-letters")
        return dead_letters.run(self._settings, database)

    async def _keep(self, duty: Callable[[], Coroutine[None, None, None]]) -> None:
        # Made here: it may be cancelled before its first step, and nobody would await it.
        try:
            await duty()
        except UnsafeDatabase as error:
            self._refusal = error
            self._wake.set()

    async def _claim_until_stopped(self) -> None:
        poll = FIRST_POLL
        idle_poll = min(IDLE_POLL, self._settings.poll)
        crashes = 0
        while not self._stopping.is_set():
            self._wake.clear()
            if self._refusal is not None:
                raise self._refusal
            wait = self._paused_until - time.monotonic()
            if wait <= 0:
                try:
                    claimed = await self.run_once(idle=poll >= idle_poll)
                except DatabaseUnavailable as error:
                    log.warning("database.unavailable", error=str(error), retry_in=poll)
                    claimed = 0
                except UnsafeDatabase:
                    raise
                except Exception:
                    # A passing error, or a defect of ours: what the lanes have goes on meanwhile.
                    log.error("claim.crashed", with_traceback=True, in_a_row=crashes + 1)
                    if crashes == MOST_CRASHES:
                        raise
                    pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2**crashes)
                    self._paused_until = time.monotonic() + pause
                    crashes += 1
                    claimed = 0
                else:
                    crashes = 0
                poll = FIRST_POLL if claimed else min(self._settings.poll, poll * 2)
                wait = poll if self._free else self._settings.poll
                if self._free and (limited := self._limited_until - time.monotonic()) > 0:
                    wait = min(wait, limited)
            await self._sleep(wait)

    def _connection(self, calls: type[S], purpose: str) -> S:
        return calls(
            self._settings.database_url,
            purpose,
            self._witness,
            allow_fsync_off=self._settings.allow_fsync_off,
        )

    async def _sleep(self, seconds: float) -> None:
        """Sleeps until something happens, `seconds` at most."""
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
