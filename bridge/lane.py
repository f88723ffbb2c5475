"""Publishes one claimed batch at a time, in index order, over one connection to the broker."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from enum import Enum
from typing import NamedTuple

from bridge.batch import Claim
from bridge.claimed import ClaimedBatch
from bridge.database import Database
from bridge.errors import BrokerUnavailable, DatabaseUnavailable, EntityUnavailable
from bridge.lease import Lease
from bridge.logs import EventLog
from bridge.publisher import Publisher
from bridge.send import Send
from bridge.settings import Settings

log = EventLog("stagebus.lane")

#: Seconds for which a throttled batch waits: what the service asks for (error 50009).
THROTTLE_DELAY = 2.0

#: Seconds for which a batch waits whose broker could not be reached.
UNREACHABLE_DELAY = 1.0

#: Seconds for which a batch waits whose entity the broker does not serve: somebody must act first.
NO_ENTITY_DELAY = 10.0


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
    """The broker has just refused an entity's link or send; until then it is not asked again."""

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

    async def close(self) -> None:
        await self._publisher.close()
        await self._database.close()

    async def publish(self, claim: Claim, claimed_at: float) -> Result:
        """Sends what is left of the batch and settles it.

        `claimed_at` is time.monotonic() from before the claim: the lease ends no earlier than
        that plus its length. Never raises for a lost database or broker.
        """
        lease = Lease(self._settings.lease, claimed_at, self._stopping)
        batch = ClaimedBatch(claim, lease, self._database)
        started = time.monotonic()
        try:
            result = await self._publish(batch)
        except EntityUnavailable as error:
            reason = str(error)
            until = time.monotonic() + NO_ENTITY_DELAY
            self._refusals[claim.entity_kind, claim.entity] = Refusal(until, reason)
            log.warning("entity.unavailable", entity=claim.entity, error=reason)
            result = await _release(batch, Result.RELEASED, NO_ENTITY_DELAY, reason)
        except BrokerUnavailable as error:
            reason = str(error)
            log.warning("broker.unavailable", entity=claim.entity, error=reason)
            result = await _release(batch, Result.UNREACHABLE, UNREACHABLE_DELAY, reason)
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

    async def _publish(self, batch: ClaimedBatch) -> Result:
        claim = batch.claim
        if self._stopping.is_set():
            return await _release(batch, Result.RELEASED)
        refusal = self._refusals.get((claim.entity_kind, claim.entity))
        if refusal is not None and (delay := refusal.until - time.monotonic()) > 0:
            # Its other batches must not spend the time in which those of others could go out.
            return await _release(batch, Result.RELEASED, delay, refusal.reason)
        send = await self._new_send(claim)
        async with aclosing(batch.messages()) as messages:
            async for message in messages:
                if send.add(message):
                    continue
                if len(send):
                    if (result := await self._settle(batch, send)) is not None:
                        return result
                    send = await self._new_send(claim)
                    if send.add(message):
                        continue
                error = f"task {message.task_index} alone is too big for the broker"
                log.error("batch.too_big", batch_id=str(claim.batch_id), error=error)
                return await self._fail(batch, error)
        if len(send) and (result := await self._settle(batch, send)) is not None:
            return result
        return Result.QUEUED if await batch.finish() else Result.LOST

    async def _settle(self, batch: ClaimedBatch, send: Send) -> Result | None:
        """Sends and records; None when the next send may follow. Raises EntityUnavailable."""
        if self._stopping.is_set():
            return await _release(batch, Result.RELEASED)
        if not await batch.outlasts(self._settings.send_deadline):
            return _fenced(batch.claim)
        started = time.monotonic()
        outcome = await self._publisher.send(send)
        if not await batch.record(send, outcome, time.monotonic() - started):
            return _fenced(batch.claim)
        if outcome.verdict == "accepted":
            return None
        log.warning(
            f"send.{outcome.verdict}",
            batch_id=str(batch.claim.batch_id),
            first_index=send.first_index,
            last_index=send.last_index,
            error=outcome.error,
        )
        if outcome.verdict == "unavailable":
            raise EntityUnavailable(outcome.error)
        if outcome.verdict == "throttled":
            return await _release(batch, Result.RELEASED, THROTTLE_DELAY, outcome.error)
        return await self._fail(batch, outcome.error or outcome.verdict)

    async def _fail(self, batch: ClaimedBatch, error: str) -> Result:
        failed = await batch.fail(error, self._settings.publish_attempts)
        return Result.FAILED if failed else Result.LOST

    async def _new_send(self, claim: Claim) -> Send:
        return await self._publisher.new_send(
            claim.entity_kind,
            claim.entity,
            max_bytes=claim.max_send_bytes,
            max_messages=claim.max_send_messages,
            subject=claim.task_type,
        )


async def _release(
    batch: ClaimedBatch, result: Result, delay: float = 0.0, reason: str | None = None
) -> Result:
    """Gives the batch back for `delay` seconds; it is lost when the database is away, too."""
    try:
        released = await batch.release(delay, reason)
    except DatabaseUnavailable as error:
        log.warning("database.unavailable", batch_id=str(batch.claim.batch_id), error=str(error))
        released = False
    return result if released else Result.LOST


def _fenced(claim: Claim) -> Result:
    """The batch has another epoch by now: hands off, whoever raised it decides."""
    log.warning("batch.fenced", batch_id=str(claim.batch_id), claim_epoch=claim.claim_epoch)
    return Result.LOST
