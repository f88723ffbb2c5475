"""A claimed batch: its calls of the database, repeated and fenced as its lease demands."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from bridge.batch import Claim, Message, SendRecord
from bridge.database import Database
from bridge.lease import Lease
from bridge.pages import read_pages
from bridge.send import Outcome, Send


class ClaimedBatch:
    """What a lane does with its batch in the database, as long as the lease may be its own.

    Every call answers False once the batch is no longer this claim's, and then it has changed
    nothing. Every call raises DatabaseUnavailable when the database stays away.
    """

    def __init__(self, claim: Claim, lease: Lease, database: Database) -> None:
        self.claim = claim
        self.refused = 0
        """How many of its tasks the broker has refused, in this claim."""
        self.pages_asked = 0
        """How many pages have been asked for, the empty ones included."""
        self._lease = lease
        self._database = database

    def pages(self) -> AsyncGenerator[list[Message]]:
        """What is left to send, in index order."""

        async def read(after_index: int, limit: int) -> list[Message]:
            self.pages_asked += 1
            return await self._lease.persistently(
                lambda: self._database.batch_messages(self.claim, after_index, limit)
            )

        return read_pages(self.claim, read)

    async def outlasts(self, seconds: float) -> bool:
        """True when the lease covers `seconds` more; it is renewed if need be.

        A send that may outlive its claim is not begun, nor one after the claim was forgotten.
        """
        if not self._database.is_ours(self.claim):
            return False
        lease = self._lease
        # Again where the answer came so late that too little of the new lease is left.
        while lease.left <= seconds:
            if not await self.is_ours():
                return False
        return True

    async def is_ours(self) -> bool:
        """Asks the database; the lease is renewed with it."""
        lease = self._lease
        return await lease.renewed_by(
            lambda: self._database.extend_lease(self.claim, lease.seconds)
        )

    async def record(self, send: Send, outcome: Outcome, seconds: float, *, last: bool) -> bool:
        """Writes to the ledger what became of a send that took `seconds`; renews the lease.

        `last`: once it is accepted, all of the batch is on the broker, and it is finished with it.
        That of an atomic batch stands for all of it, also where its last tasks have ended.
        """
        accepted = outcome.verdict == "accepted"
        write = self._database.record_last_send if last and accepted else self._database.record_send
        record = SendRecord(
            first_index=send.first_index,
            last_index=self.claim.last_index if self.claim.atomic else send.last_index,
            messages=len(send),
            size=send.size,
            seconds=seconds,
            outcome=outcome.verdict if outcome.verdict in ("accepted", "unknown") else "rejected",
            error=outcome.error,
        )
        return await self._lease.renewed_by(lambda: write(self.claim, record, self._lease.seconds))

    async def finish(self) -> bool:
        """Nothing of it is left to send."""
        return await self._lease.persistently(lambda: self._database.finish_batch(self.claim))

    async def fail(self, error: str, attempts: int) -> bool:
        """Spends one of `attempts` publish attempts."""
        return await self._lease.persistently(
            lambda: self._database.fail_batch(self.claim, error, attempts)
        )

    async def fail_task(self, task_index: int, error: str) -> bool:
        """The broker does not take this task; all those before it have been accepted."""
        return await self._lease.persistently(
            lambda: self._database.fail_unsendable_task(self.claim, task_index, error)
        )

    async def release(self, delay: float, reason: str | None, destination: str | None) -> bool:
        """Gives it back unharmed; it is claimable after `delay` seconds.

        `destination`: throttled or refused, when that is the reason.
        """
        return await self._lease.persistently(
            lambda: self._database.release_batch(self.claim, delay, reason, destination)
        )
