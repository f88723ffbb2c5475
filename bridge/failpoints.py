"""Failpoints: named points at the edges of the bridge where a test has it die, stop or stumble."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import re
import signal
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from bridge.errors import SettingsError
from bridge.logs import EventLog

log = EventLog("stagebus.failpoints")
VARIABLE = "STAGEBUS_FAILPOINTS"

#: The calls that have a point before and one after them, and what they do.
CALLS = {
    "claim_batches": "leases batches to this bridge",
    "record_send": "writes what became of a send to the ledger",
    "record_last_send": "writes the last send to the ledger and marks the batch queued",
    "finish_batch": "marks a batch queued whose last send was recorded before",
    "fail_batch": "spends a publish attempt of a batch",
    "fail_unsendable_task": "fails a task that the broker does not take",
    "release_batch": "gives a batch back unharmed",
    "extend_lease": "renews the lease of a batch",
    "maintain": "does a round of house-keeping",
    "work_order": "does a step of an operator's order",
    "fail_order_step": "shows why a step of an order failed",
    "drop_expired": "does a step of retention",
    "advance_job": "makes the next stages of a job's plan",
    "send": "puts messages on the broker",
    "record_dead_letters": "writes what came of dead letters to the database",
    "complete_dead_letter": "takes a dead letter off the broker",
}

POINTS = {
    f"{call}.{side}": f"{side} the call that {what}"
    for call, what in CALLS.items()
    for side in ("before", "after")
}

ACTIONS = {
    "kill": "SIGKILL of the own process",
    "raise": "an exception that nobody expects",
    "stall:SECONDS": "this call sleeps, the rest of the bridge goes on",
    "cut": "closes the socket that the call uses",
}

#: As it is written in the variable; a stall of more than 99,999 s is not meant.
_FORM = re.compile(
    r"(?P<point>[a-z_.]+)=(?P<action>kill|raise|cut|stall:[0-9]{1,5}(\.[0-9]{1,3})?)"
    r"(@(?P<passing>every|[1-9][0-9]{0,8}))?"
)


class Unexpected(Exception):
    """What `raise` raises; no part of the bridge knows it."""


class Edge(Protocol):
    """Whose calls have failpoints."""

    async def cut(self, *, answered: bool) -> None:
        """Closes the socket in use, if any; when `answered`, may raise that the answer is lost."""


S = TypeVar("S", bound=Edge)
T = TypeVar("T")
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Failpoint:
    """One that is switched on."""

    point: str
    action: str
    """As it was given, without `@…`."""
    passing: int | None
    """From 1; None: at every one."""

    async def act(self, edge: Edge) -> None:
        log.warning("failpoint.hit", name=self.point, action=self.action)
        if self.action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.action == "raise":
            raise Unexpected(f"failpoint {self.point}")
        elif self.action == "cut":
            await edge.cut(answered=self.point.endswith(".after"))
        else:
            await asyncio.sleep(float(self.action.removeprefix("stall:")))


#: What is switched on, and how often each point was passed; None is the rule.
_on: tuple[list[Failpoint], Counter[str]] | None = None


def switch_on(text: str | None) -> None:
    """Those of `POINT=ACTION[@N]; …`, and no others. Raises SettingsError."""
    global _on
    _on = (list(_parse(text)), Counter()) if text and text.strip() else None


def failpoint(
    call: Callable[Concatenate[S, P], Awaitable[T]],
) -> Callable[Concatenate[S, P], Awaitable[T]]:
    """Gives a method the points `NAME.before` and `NAME.after`."""
    name = call.__name__
    assert name in CALLS

    async def failing(edge: S, /, *arguments: P.args, **named: P.kwargs) -> T:
        await _pass(f"{name}.before", edge)
        answer = await call(edge, *arguments, **named)
        await _pass(f"{name}.after", edge)
        return answer

    def called(edge: S, /, *arguments: P.args, **named: P.kwargs) -> Awaitable[T]:
        return (call if _on is None else failing)(edge, *arguments, **named)

    functools.update_wrapper(called, call)
    return called


def shut_down(sock: socket.socket) -> None:
    """Ends a connection in both directions, beneath whoever uses it."""
    with contextlib.suppress(OSError):  # It has ended already.
        sock.shutdown(socket.SHUT_RDWR)


async def _pass(point: str, edge: Edge) -> None:
    if _on is None:
        return
    failpoints, passed = _on
    passed[point] += 1
    for each in failpoints:
        if each.point == point and each.passing in (None, passed[point]):
            await each.act(edge)


def _parse(text: str) -> Iterator[Failpoint]:
    for given in filter(None, (part.strip() for part in text.split(";"))):
        found = _FORM.fullmatch(given)
        if found is None or found["point"] not in POINTS:
            raise SettingsError(
                f"{VARIABLE}: {given!r} is not a failpoint; the form is POINT=ACTION, with @N for"
                " the Nth passing alone (the first, if not given) or @every, and ';' between two."
                f" The points are {', '.join(POINTS)}; the actions are {', '.join(ACTIONS)}"
            )
        passing = None if found["passing"] == "every" else int(found["passing"] or 1)
        yield Failpoint(found["point"], found["action"], passing)
