"""What publishing asks of PostgreSQL: all calls, all SQL text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import psycopg

from bridge.batch import Claim, Message, SendRecord
from bridge.errors import DatabaseUnavailable, IncompatibleDatabase
from bridge.failpoints import failpoint
from bridge.session import DURABLY_THERE, SOON_THERE, Session

#: The versions of stagebus.api_version() that this bridge can work with.
API_VERSIONS = range(1, 2)

RECORD_SEND = "stagebus.record_send(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
FINISH_BATCH = "stagebus.finish_batch(%s, %s, %s)"


class Database(Session):
    """The calls, over one connection.

    Every method raises DatabaseUnavailable when the connection fails, the server goes away, or no
    answer comes in time (CallTimedOut); then the call may or may not have been done, and the
    claim's epoch decides what counts. Every method but check_api also raises UnsafeDatabase when a
    crash of the server's machine may undo its commits, unless that is allowed.
    """

    async def check_api(self) -> None:
        """Raises IncompatibleDatabase unless the installed API is one of API_VERSIONS."""
        try:
            async with self._connected(asked=False) as connection:
                cursor = await connection.execute("select stagebus.api_version()")
                ((version,),) = await cursor.fetchall()
        except (psycopg.errors.InvalidSchemaName, psycopg.errors.UndefinedFunction) as error:
            raise DatabaseUnavailable(
                "stagebus is not installed in the database: stagebus migrate"
            ) from error
        except psycopg.errors.InsufficientPrivilege as error:
            raise IncompatibleDatabase(
                "the database role may not use stagebus: grant stagebus_bridge to it"
            ) from error
        if version not in API_VERSIONS:
            raise IncompatibleDatabase(
                f"the database has version {version} of the API, this bridge knows"
                f" {API_VERSIONS.start} to {API_VERSIONS.stop - 1}: install the bridge that fits,"
                " or, where this version is the newer one, run its stagebus migrate"
            )

    async def check_server(self) -> None:
        """Asks the server on a new connection, before anything else does."""
        async with self._connected():
            return

    async def report_bridge(
        self, host: str, pid: int, version: str, code_digest: str, lease: float
    ) -> None:
        """Says that the bridge is there, and claims for `lease` seconds.

        A crash of the server may undo it: it is said again.
        """
        async with self._connected() as connection:
            await connection.execute(
                "select stagebus.report_bridge(%s, %s, %s, %s, %s, %s)"  # noqa: S608
                f" from {SOON_THERE}",
                (
                    self._witness.bridge_id,
                    host,
                    pid,
                    version,
                    code_digest,
                    timedelta(seconds=lease),
                    self._witness.server,
                ),
            )

    async def forget_bridge(self, within: float) -> None:
        """Says that the bridge goes, in so many seconds."""
        async with self._connected(within=within) as connection:
            await connection.execute(
                f"select stagebus.forget_bridge(%s) from {SOON_THERE}",  # noqa: S608
                (self._witness.bridge_id, self._witness.server),
            )

    @failpoint
    async def claim_batches(self, limit: int, lease: float, *, everything: bool) -> list[Claim]:
        """Up to `limit` batches, leased for `lease` seconds.

        Unless `everything` is looked at, only what comes after the turn that a destination has come
        to, which is quicker.

        Each is ours until it is let go, or the witness forgets it.
        """
        server, claims = await self._rows(
            Claim,
            "job_id, batch_id, stage, claim_epoch, dispatch, task_type, entity_kind, entity,"
            " max_send_bytes, max_send_messages, published_through, last_index,"
            " average_body_bytes, atomic, limited_for",
            "stagebus.claim_batches(%s, %s, %s, %s)",
            (self._witness.bridge_id, limit, timedelta(seconds=lease), int(not everything)),
        )
        self._witness.claimed(claims, server)
        return claims

    def is_ours(self, claim: Claim) -> bool:
        """False once the database is known to have lost something since the claim."""
        return self._witness.server_of(claim) is not None

    def let_go(self, claim: Claim) -> None:
        """No call will name this claim any more."""
        self._witness.let_go(claim)

    async def batch_messages(self, claim: Claim, after_index: int, limit: int) -> list[Message]:
        """The next page of the batch, from the task after `after_index` on.

        Empty as well when the batch is no longer this claim's: the next write tells.
        """
        async with self._connected() as connection:
            cursor = connection.cursor(binary=True)
            await cursor.execute(
                "select task_index, message_id, body"
                " from stagebus.batch_messages(%s, %s, %s, %s, %s)",
                (*_key(claim), after_index, limit),
            )
            return [Message(*row) for row in await cursor.fetchall()]

    @failpoint
    async def record_send(self, claim: Claim, record: SendRecord, lease: float) -> bool:
        """True when it is in the ledger; False when the batch is no longer this claim's."""
        recorded = await self._flag(
            claim,
            f"select {RECORD_SEND}",
            _recorded(record, lease),
        )
        if recorded:
            accepted = record.last_index if record.outcome == "accepted" else None
            self._witness.committed(claim, through=accepted, sends=1)
        return recorded

    @failpoint
    async def record_last_send(self, claim: Claim, record: SendRecord, lease: float) -> bool:
        """The same for an accepted send after which nothing is left: the batch is now queued."""
        queued = await self._flag(
            claim,
            f"select case when {RECORD_SEND} then {FINISH_BATCH} end",
            (*_recorded(record, lease), *_key(claim)),
        )
        if queued:
            self._witness.committed(claim, through=record.last_index, sends=1, settled=True)
        return queued

    @failpoint
    async def finish_batch(self, claim: Claim) -> bool:
        """True when the batch is now queued; False when it is no longer this claim's."""
        return await self._settled(claim, f"select {FINISH_BATCH}")

    @failpoint
    async def fail_batch(self, claim: Claim, error: str, attempts: int) -> bool:
        """True when it waits for its next attempt, or failed; False when no longer this claim's."""
        return await self._settled(
            claim, "select stagebus.fail_batch(%s, %s, %s, %s, %s)", (error, attempts)
        )

    @failpoint
    async def fail_unsendable_task(self, claim: Claim, task_index: int, error: str) -> bool:
        """True when the task has failed; False when the batch is no longer this claim's."""
        failed = await self._flag(
            claim,
            "select stagebus.fail_unsendable_task(%s, %s, %s, %s, %s)",
            (task_index, error),
        )
        if failed:
            self._witness.committed(claim, through=task_index)
        return failed

    @failpoint
    async def release_batch(
        self, claim: Claim, delay: float, reason: str | None, destination: str | None
    ) -> bool:
        """True when the batch waits again; False when it is no longer this claim's.

        `destination`: throttled or refused, when that is the reason.
        """
        return await self._settled(
            claim,
            "select stagebus.release_batch(%s, %s, %s, %s, %s, %s)",
            (timedelta(seconds=delay), reason, destination),
        )

    @failpoint
    async def extend_lease(self, claim: Claim, lease: float) -> bool:
        """True when the lease now runs `lease` seconds from here on."""
        return await self._flag(
            claim, "select stagebus.extend_lease(%s, %s, %s, %s)", (timedelta(seconds=lease),)
        )

    async def _settled(self, claim: Claim, call: str, arguments: Sequence[object] = ()) -> bool:
        settled = await self._flag(claim, call, arguments)
        if settled:
            self._witness.committed(claim, settled=True)
        return settled

    async def _flag(self, claim: Claim, call: str, arguments: Sequence[object]) -> bool:
        """Makes a call under a claim; False, too, when the claim did not outlive a loss."""
        async with self._connected() as connection:
            if (server := self._witness.server_of(claim)) is None:
                return False
            cursor = await connection.execute(
                f"{call} from {DURABLY_THERE}", (*_key(claim), *arguments, server)
            )
            ((answer,),) = await cursor.fetchall()
        return bool(answer)


def _key(claim: Claim) -> tuple[UUID, UUID, int]:
    return claim.job_id, claim.batch_id, claim.claim_epoch


def _recorded(record: SendRecord, lease: float) -> tuple[object, ...]:
    return (
        record.first_index,
        record.last_index,
        record.messages,
        record.size,
        timedelta(seconds=record.seconds),
        record.outcome,
        record.error,
        timedelta(seconds=lease),
    )
