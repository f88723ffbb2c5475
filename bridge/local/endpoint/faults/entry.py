"""A fault that is set: how often it has been offered an operation, and whether it is over."""

from __future__ import annotations

import math
import random
import secrets
from typing import TypedDict

from bridge.local.endpoint.faults.fault import Fault, Operation


class FaultStatus(TypedDict):
    """A fault with its counts: operations it was offered, those it befell, and if it goes on."""

    fault: dict[str, object]
    seen: int
    done: int
    active: bool


class Entry:
    """One fault; the operations it is offered are counted, and those it befalls."""

    __slots__ = ("done", "ends_at", "entity", "fault", "random", "seen", "spent")

    def __init__(self, fault: Fault, now: float) -> None:
        if fault.probability < 1 and fault.seed is None:
            fault = fault.model_copy(update={"seed": secrets.randbelow(2**31)})
        self.fault = fault
        self.entity = None if fault.entity is None else fault.entity.lower()
        self.random = random.Random(fault.seed)  # noqa: S311 - to be repeated, not secret
        self.ends_at = math.inf if fault.for_seconds is None else now + fault.for_seconds
        self.seen = self.done = 0
        self.spent = fault.on == "now"

    def active(self, now: float) -> bool:
        """Whether it may befall anything, at a time of the endpoint's clock."""
        return not self.spent and now < self.ends_at

    def matches(
        self, on: Operation, entity: str | None, side: Operation | None, data: bytes
    ) -> bool:
        """Whether it is about this operation, as `FaultBook.strike` has it."""
        fault = self.fault
        if fault.on != on or fault.do == "disable":
            disables = fault.do == "disable" and on == "attach" and fault.on in (on, side)
            if not disables:
                return False
        if fault.holds is not None and fault.holds.encode() not in data:
            return False
        return self.entity is None or self.entity == entity

    def strikes(self) -> bool:
        """Count an operation, and say whether it is befallen."""
        fault = self.fault
        self.seen += 1
        if self.seen <= fault.after:
            return False
        if fault.probability < 1 and self.random.random() >= fault.probability:
            return False
        self.done += 1
        self.spent = self.done == fault.times
        return True

    def status(self, now: float) -> FaultStatus:
        """What is told of it."""
        fields = self.fault.model_fields_set | {"on", "do", "times"}
        if self.fault.seed is not None:
            fields |= {"seed"}
        return {
            "fault": self.fault.model_dump(include=fields),
            "seen": self.seen,
            "done": self.done,
            "active": self.active(now),
        }
