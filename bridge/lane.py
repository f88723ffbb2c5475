"""Publishes one claimed batch at a time, in index order, over one connection to the broker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from enum import Enum
from typing import NamedTuple, TypeVar

from bridge.database import Claim, Database, Message, SendRecord
from bridge.errors import DatabaseUnavailable
from bridge.logs import EventLog
from bridge.publisher import BrokerUnavailable, EntityUnavailable, Outcome, Publisher, Send
from bridge.settings import Settings

log = EventLog("stagebus.lane")

#: A page of messages has about this many bytes of bodies; one more page is read ahead.
PAGE_BYTES = 2_000_000
PAGE_ROWS = 4500

#: Seconds for which a throttled batch waits: what the service asks for (error 50009).
THROTTLE_DELAY = 2.0

#: Seconds for which a batch waits whose broker could not be reached.
UNREACHABLE_DELAY = 1.0

#: Seconds for which a batch waits whose entity the broker does not serve: somebody must act first.
NO_ENTITY_DELAY = 10.0

#: Seconds for which a bridge that drains goes on asking for a database that is away.
DRAIN_PATIENCE = 5.0

T = TypeVar("T")


class Result(Enum):
    """How the work on a batch ended."""

    QUEUED = "queued"
    """All of it is on the broker."""
    RELEASED = "released"
    """Given back without blame: the bridge drains, or the broker throttles or lacks the entity."""
    UNREACHABLE = "unreachable"
    """Given back without blame: the broker cannot be reached."""
    FAILED = "failed"
    """A send was refused, or its outcome is not known; the batch is tried again later."""
    LOST = "lost"
    """No longer ours, or the database is away: whoever reclaims it goes on with it."""


class Refusal(NamedTuple):
    """The broker has just refused a link to an entity; until then it is not asked again."""

    until: float
    """On time.monotonic()."""
    reason: str


#: By kind and name of the entity; the lanes of a bridge share one.
Refusals = dict[tuple[str, str], Refusal]


class Lane:
    """A connection to the database, one to the broker, and the batch that is on its way."""

    def __init__(self, settings: Settings, stopping: asyncio.Event, refusals: Refusals) -> None:
        self._settings = settings
        self._stopping = stopping
        self._refusals = refusals
        self._database = Database(settings.database_url, "lane")
        self._publisher = Publisher(settings)
        self._lease_end = 0.0

    async def close(self) -> None:
        await self._publisher.close()
        await self._database.close()

    async def publish(self, claim: Claim, claimed_at: float) -> Result:
        """Sends what is left of the batch and settles it.

        `claimed_at` is time.monotonic() from before the claim: the lease ends no earlier than
        that plus its length. Never raises for a lost database or broker.
        """
        self._lease_end = claimed_at + self._settings.lease
        started = time.monotonic()
        try:
            result = await self._publish(claim)
        except EntityUnavailable as error:
            reason = str(error)
            until = time.monotonic() + NO_ENTITY_DELAY
            self._refusals[claim.entity_kind, claim.entity] = Refusal(until, reason)
            log.warning("entity.unavailable", entity=claim.entity, error=reason)
            result = await self._release(claim, Result.RELEASED, NO_ENTITY_DELAY, reason)
        except BrokerUnavailable as error:
            reason = str(error)
            log.warning("broker.unavailable", entity=claim.entity, error=reason)
            result = await self._release(claim, Result.UNREACHABLE, UNREACHABLE_DELAY, reason)
        except DatabaseUnavailable as error:
            log.warning("database.unavailable", batch_id=str(claim.batch_id), error=str(error))
            result = Result.LOST
        log.info(
            f"batch.{result.value}",
            job_id=str(claim.job_id),
            batch_id=str(claim.batch_id),
            claim_epoch=claim.claim_epoch,
            seconds=round(time.monotonic() - started, 3),
        )
        return result

    async def _publish(self, claim: Claim) -> Result:
        if self._stopping.is_set():
            return await self._release(claim, Result.RELEASED, 0.0, None)
        refusal = self._refusals.get((claim.entity_kind, claim.entity))
        if refusal is not None and (delay := refusal.until - time.monotonic()) > 0:
            # Its other batches must not spend the time in which those of others could go out.
            return await self._release(claim, Result.RELEASED, delay, refusal.reason)
        send = await self._new_send(claim)
        async with aclosing(self._messages(claim)) as messages:
            async for message in messages:
                if send.add(message):
                    continue
                if len(send):
                    if (result := await self._settle(claim, send)) is not None:
                        return result
                    send = await self._new_send(claim)
                    if send.add(message):
                        continue
                error = f"task {message.task_index} alone is too big for the broker"
                log.error("batch.too_big", batch_id=str(claim.batch_id), error=error)
                return await self._fail(claim, error)
        if len(send) and (result := await self._settle(claim, send)) is not None:
            return result
        finished = await self._persistently(lambda: self._database.finish_batch(claim))
        return Result.QUEUED if finished else Result.LOST

    async def _settle(self, claim: Claim, send: Send) -> Result | None:
        """Sends and records; None when the next send may follow."""
        if self._stopping.is_set():
            return await self._release(claim, Result.RELEASED, 0.0, None)
        if not await self._lease_covers_a_send(claim):
            return self._fenced(claim)
        started = time.monotonic()
        outcome = await self._publisher.send(send)
        recorded = await self._record(claim, send, outcome, time.monotonic() - started)
        if not recorded:
            return self._fenced(claim)
        if outcome.verdict == "accepted":
            return None
        log.warning(
            f"send.{outcome.verdict}",
            batch_id=str(claim.batch_id),
            first_index=send.first_index,
            last_index=send.last_index,
            error=outcome.error,
        )
        if outcome.verdict == "throttled":
            return await self._release(claim, Result.RELEASED, THROTTLE_DELAY, outcome.error)
        return await self._fail(claim, outcome.error or outcome.verdict)

    async def _record(self, claim: Claim, send: Send, outcome: Outcome, seconds: float) -> bool:
        record = SendRecord(
            first_index=send.first_index,
            last_index=send.last_index,
            messages=len(send),
            size=send.size,
            seconds=seconds,
            outcome="rejected" if outcome.verdict == "throttled" else outcome.verdict,
            error=outcome.error,
        )
        lease = self._settings.lease
        before = time.monotonic()
        recorded = await self._persistently(
            lambda: self._database.record_send(claim, record, lease)
        )
        self._lease_end = before + lease
        return recorded

    async def _persistently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Repeats a call while the database is away, as long as the lease may still be ours.

        Every call may be repeated: the epoch decides what counts. A bridge that drains is less
        patient, since whoever stops it will not wait for ever.
        """
        delay = 0.1
        drain_end: float | None = None
        while True:
            try:
                return await call()
            except DatabaseUnavailable as error:
                if self._stopping.is_set() and drain_end is None:
                    drain_end = time.monotonic() + DRAIN_PATIENCE
                give_up = min(self._lease_end, drain_end or self._lease_end)
                if time.monotonic() + delay >= give_up:
                    raise
                log.warning("database.unavailable", error=str(error), retry_in=delay)
                await asyncio.sleep(delay)
                delay = min(2.0, delay * 2)

    async def _lease_covers_a_send(self, claim: Claim) -> bool:
        """A send that may outlive its claim is not begun; the lease is renewed first."""
        if self._lease_end - time.monotonic() > self._settings.send_deadline:
            return True
        before = time.monotonic()
        lease = self._settings.lease
        if not await self._persistently(lambda: self._database.extend_lease(claim, lease)):
            return False
        self._lease_end = before + self._settings.lease
        return True

    async def _release(
        self, claim: Claim, result: Result, delay: float, reason: str | None
    ) -> Result:
        try:
            released = await self._persistently(
                lambda: self._database.release_batch(claim, delay, reason)
            )
        except DatabaseUnavailable as error:
            log.warning("database.unavailable", batch_id=str(claim.batch_id), error=str(error))
            released = False
        return result if released else Result.LOST

    async def _fail(self, claim: Claim, error: str) -> Result:
        attempts = self._settings.publish_attempts
        state = await self._persistently(lambda: self._database.fail_batch(claim, error, attempts))
        return Result.LOST if state is None else Result.FAILED

    def _fenced(self, claim: Claim) -> Result:
        """The batch has another epoch by now: hands off, whoever raised it decides."""
        log.warning("batch.fenced", batch_id=str(claim.batch_id), claim_epoch=claim.claim_epoch)
        return Result.LOST

    async def _new_send(self, claim: Claim) -> Send:
        return await self._publisher.new_send(
            claim.entity_kind,
            claim.entity,
            max_bytes=claim.max_send_bytes,
            max_messages=claim.max_send_messages,
            subject=claim.task_type,
        )

    async def _messages(self, claim: Claim) -> AsyncGenerator[Message]:
        """The rest of the batch, read in short pages, one ahead of what is being sent."""
        limit = max(1, min(PAGE_ROWS, PAGE_BYTES // max(1, claim.average_body_bytes)))

        async def read(after_index: int) -> list[Message]:
            return await self._persistently(
                lambda: self._database.batch_messages(claim, after_index, limit)
            )

        ahead = asyncio.create_task(read(claim.published_through))
        try:
            while page := await ahead:
                full = len(page) == limit
                if full:
                    ahead = asyncio.create_task(read(page[-1].task_index))
                for message in page:
                    yield message
                if not full:
                    return
        finally:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)
