"""Publishes one claimed batch at a time, in index order, over one connection to the broker."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import aclosing
from enum import Enum

from bridge.batch import Claim, Message
from bridge.claimed import ClaimedBatch
from bridge.database import Database
from bridge.errors import BrokerUnavailable, DatabaseUnavailable, EntityUnavailable
from bridge.lease import DRAIN_PATIENCE, Lease
from bridge.logs import EventLog
from bridge.publisher import Publisher
from bridge.send import Send
from bridge.settings import Settings

log = EventLog("stagebus.lane")

#: Seconds for which a batch waits whose broker could not be reached.
UNREACHABLE_DELAY = 1.0

#: Tasks of a batch that the broker may refuse for their content. With one more it is not the task
#: that is to blame, and the batch waits for an operator.
MOST_REFUSED = 3


#: Why a task has failed that no empty send has room for.
TOO_BIG = "alone it is too big for a send of the destination"


class Result(Enum):
    """How the work on a batch ended."""

    QUEUED = "queued"
    """All of it is on the broker."""
    RELEASED = "released"
    """Given back without blame: the bridge drains, or the broker throttles or refuses."""
    UNREACHABLE = "unreachable"
    """Given back without blame: the broker cannot be reached."""
    FAILED = "failed"
    """A send was refused, or its outcome is not known; the batch is tried again later."""
    FENCED = "fenced"
    """No longer ours: a write was refused, since it has another epoch by now. Hands off."""
    LOST = "lost"
    """The database is away: whoever reclaims it goes on with it."""


class Lane:
    """A connection to the database, one to the broker, and the batch that is on its way."""

    def __init__(self, settings: Settings, database: Database, stopping: asyncio.Event) -> None:
        self._settings = settings
        self._database = database
        self._stopping = stopping
        self._publisher = Publisher(settings)

    def hurry(self) -> None:
        """The bridge drains: whoever stops it will not wait long for an answer of the broker."""
        self._publisher.hurry(DRAIN_PATIENCE)

    async def close(self) -> None:
        await self._publisher.close()
        await self._database.close()

    async def publish(self, claim: Claim, claimed_at: float) -> Result:
        """Sends what is left of the batch and settles it.

        `claimed_at` is time.monotonic() from before the claim: the lease ends no earlier than
        that plus its length. Never raises for a lost database or broker; raises UnsafeDatabase.
        """
        lease = Lease(self._settings.lease, claimed_at, self._stopping)
        batch = ClaimedBatch(claim, lease, self._database)
        started = time.monotonic()
        try:
            result = await self._publish(batch)
        except EntityUnavailable as error:
            reason = str(error)
            log.warning("destination.refused", entity=claim.entity, error=reason)
            result = await _release(batch, Result.RELEASED, reason=reason, destination="refused")
        except BrokerUnavailable as error:
            reason = str(error)
            log.warning("broker.unavailable", entity=claim.entity, error=reason)
            result = await _release(batch, Result.UNREACHABLE, UNREACHABLE_DELAY, reason)
        except DatabaseUnavailable as error:
            log.warning("database.unavailable", batch_id=str(claim.batch_id), error=str(error))
            result = Result.LOST
        finally:
            self._database.let_go(claim)
        say = log.warning if result is Result.FENCED else log.info
        say(
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
        if claim.atomic:
            return await self._publish_whole(batch)
        send = await self._new_send(claim)
        async with aclosing(batch.pages()) as pages:
            async for page in pages:
                left = send.add_all(page)
                while left:
                    if len(send):
                        if (result := await self._settle(batch, send)) is not None:
                            return result
                        send = await self._new_send(claim)
                    else:
                        index = left[0].task_index
                        if (result := await self._fail_task(batch, index, TOO_BIG)) is not None:
                            return result
                        left = left[1:]
                    left = send.add_all(left)
        if len(send) and (result := await self._settle(batch, send, last=True)) is not None:
            return result
        return Result.QUEUED if await batch.finish() else Result.FENCED

    async def _publish_whole(self, batch: ClaimedBatch) -> Result:
        """Sends what is left of an atomic batch in one send; it fails as a whole."""
        send = await self._new_send(batch.claim)
        left_over: list[Message] = []
        async with aclosing(batch.pages()) as pages:
            async for page in pages:
                left_over += page if left_over else send.add_all(page)
        # A page is empty, too, once the batch is taken away: those before would be a part of it.
        if batch.pages_asked > 1 and not await batch.is_ours():
            return Result.FENCED
        if left_over:
            return await self._fail(batch, _does_not_fit(send, left_over), attempts=1)
        if len(send) and (result := await self._settle(batch, send, last=True)) is not None:
            return result
        return Result.QUEUED if await batch.finish() else Result.FENCED

    async def _settle(
        self, batch: ClaimedBatch, send: Send, *, last: bool = False
    ) -> Result | None:
        """Sends and records; None when the next send may follow. Raises EntityUnavailable.

        `last`: nothing is left of the batch but this.
        """
        if self._stopping.is_set():
            return await _release(batch, Result.RELEASED)
        if not await batch.outlasts(self._settings.send_deadline):
            return Result.FENCED
        started = time.monotonic()
        outcome = await self._publisher.send(send)
        if not await batch.record(send, outcome, time.monotonic() - started, last=last):
            return Result.FENCED
        if outcome.verdict == "accepted":
            return Result.QUEUED if last else None
        log.warning(
            f"send.{outcome.verdict}",
            batch_id=str(batch.claim.batch_id),
            first_index=send.first_index,
            last_index=send.last_index,
            error=outcome.error,
        )
        reason = outcome.error or outcome.verdict
        if outcome.verdict == "unavailable":
            raise EntityUnavailable(reason)
        if outcome.verdict == "throttled":
            return await _release(batch, Result.RELEASED, reason=reason, destination="throttled")
        if outcome.verdict == "refused" and batch.claim.atomic:
            what = f"the broker refuses it as a whole, {len(send)} tasks with {send.size} bytes"
            return await self._fail(batch, f"{what}: {reason}", attempts=1)
        if outcome.verdict == "refused":
            return await self._narrow_down(batch, send, reason)
        if outcome.verdict == "unknown" and self._stopping.is_set():
            # The next bridge sends it again; an answer that was not waited for spends nothing.
            return await _release(batch, Result.RELEASED, reason=reason)
        where = f"tasks {send.first_index} to {send.last_index}"
        return await self._fail(batch, f"{where}: {reason}", self._settings.publish_attempts)

    async def _narrow_down(self, batch: ClaimedBatch, send: Send, reason: str) -> Result | None:
        """Sends a refused send in halves, down to the tasks to blame: two sends a halving."""
        if len(send) == 1:
            if batch.refused == MOST_REFUSED:
                return await self._fail(batch, f"too many of its tasks are refused: {reason}", 1)
            batch.refused += 1
            return await self._fail_task(batch, send.first_index, reason)
        middle = len(send) // 2
        parts = deque([send.messages[:middle], send.messages[middle:]])
        while parts:
            messages = parts.popleft()
            part = await self._new_send(batch.claim)
            rest = part.add_all(messages)
            if len(part):
                result = await self._settle(batch, part)
            else:
                result = await self._fail_task(batch, messages[0].task_index, TOO_BIG)
                rest = messages[1:]
            # None is passed over, should the new link take less than the one before.
            if rest:
                parts.appendleft(rest)
            if result is not None:
                return result
        return None

    async def _fail_task(self, batch: ClaimedBatch, task_index: int, reason: str) -> Result | None:
        """The broker does not take this task; None when the rest may follow."""
        log.error(
            "task.unsendable",
            batch_id=str(batch.claim.batch_id),
            task_index=task_index,
            error=reason,
        )
        if await batch.fail_task(task_index, reason):
            return None
        # Not a batch of tasks, or not ours any more: the next call tells.
        return await self._fail(batch, reason, self._settings.publish_attempts)

    async def _fail(self, batch: ClaimedBatch, error: str, attempts: int) -> Result:
        failed = await batch.fail(error, attempts)
        return Result.FAILED if failed else Result.FENCED

    async def _new_send(self, claim: Claim) -> Send:
        return await self._publisher.new_send(
            claim.entity_kind,
            claim.entity,
            max_bytes=claim.max_send_bytes,
            max_messages=claim.max_send_messages,
            subject=claim.task_type,
            whole=claim.atomic,
        )


def _does_not_fit(send: Send, left_over: list[Message]) -> str:
    """Why an atomic batch has failed that was packed when more was taken."""
    tasks = len(send) + len(left_over)
    size = send.size + sum(len(message.body) for message in left_over)
    return (
        f"atomic, but it does not fit in one send: {tasks} tasks with more than {size} bytes;"
        f" link and destination take {send.max_messages} with {send.max_size} bytes"
    )


async def _release(
    batch: ClaimedBatch,
    result: Result,
    delay: float = 0.0,
    reason: str | None = None,
    destination: str | None = None,
) -> Result:
    """Gives the batch back for `delay` seconds; it is lost when the database is away, too.

    `destination`: throttled or refused, when that is why; its other batches then wait, too.
    """
    try:
        released = await batch.release(delay, reason, destination)
    except DatabaseUnavailable as error:
        log.warning("database.unavailable", batch_id=str(batch.claim.batch_id), error=str(error))
        return Result.LOST
    return result if released else Result.FENCED
