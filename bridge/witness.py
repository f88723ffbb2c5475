"""What a bridge was told is committed, so that a database that has lost it is noticed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from bridge.batch import Claim


@dataclass(slots=True)
class Write:
    """What is committed of one claim."""

    claim: Claim
    server: datetime
    """When the server was started that has it."""
    published_through: int
    number: int
    """Of the last commit, counted in this process."""
    sends: int = 0
    settled: bool = False
    """The batch is finished or was given back."""


class Witness:
    """The memory of one bridge process, which all its connections share.

    It keeps the claims at work, and of those that are over the one with the last commit: a server
    that lost anything has lost what came last.
    """

    def __init__(self, bridge_id: UUID) -> None:
        self.bridge_id = bridge_id
        self.server: datetime | None = None
        """When the server was started that was asked last; None before the first."""
        #: By the claim's identity: after a loss a batch may be claimed again with the same epoch.
        self._at_work: dict[int, Write] = {}
        self._last: Write | None = None
        self._commits = 0

    def writes(self) -> list[Write]:
        """What a server must have."""
        over = [] if self._last is None else [self._last]
        return [*self._at_work.values(), *over]

    def found(self, writes: Iterable[Write], server: datetime) -> None:
        """That server has them all."""
        self.server = server
        for write in writes:
            write.server = server

    def forget(self, server: datetime) -> None:
        """That server has lost something: no claim is ours any more, and it is not asked again."""
        self.server = server
        self._at_work.clear()
        self._last = None

    def claimed(self, claims: Iterable[Claim], server: datetime) -> None:
        for claim in claims:
            self._at_work[id(claim)] = Write(
                claim, server, claim.published_through, self._next_number()
            )

    def server_of(self, claim: Claim) -> datetime | None:
        """The server on which the claim counts; None when it is not ours any more."""
        write = self._at_work.get(id(claim))
        return None if write is None else write.server

    def committed(
        self, claim: Claim, *, through: int | None = None, sends: int = 0, settled: bool = False
    ) -> None:
        """One more write of the claim; a forgotten one stays forgotten."""
        if (write := self._at_work.get(id(claim))) is None:
            return
        write.number = self._next_number()
        write.sends += sends
        write.settled |= settled
        if through is not None:
            write.published_through = through

    def let_go(self, claim: Claim) -> None:
        """Nothing more will be written under the claim."""
        write = self._at_work.pop(id(claim), None)
        if write and (self._last is None or write.number > self._last.number):
            self._last = write

    def _next_number(self) -> int:
        self._commits += 1
        return self._commits
