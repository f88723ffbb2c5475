"""What each action does to an operation that a fault befalls, whatever kind of operation it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from bridge.local.endpoint.faults.fault import Action, Fault
from bridge.local.endpoint.faults.refusing import refusal_of
from bridge.local.endpoint.outcomes import Refused


class Struck(Protocol):
    """One operation of a client, which waits to be carried out and answered."""

    def perform(self) -> None:
        """Carry it out. Raises Refused."""
        ...

    def answer(self) -> None:
        """Tell the client that it was carried out."""
        ...

    def refuse(self, refused: Refused) -> None:
        """Tell the client that it was not."""
        ...

    def give_back(self, *, failed: bool) -> None:
        """Answer that it may be tried again: released, or modified with a failed delivery."""
        ...

    def cut(self, *, done: bool) -> None:
        """Cut the connection; `done` says whether the operation was carried out before."""
        ...

    def detach_link(self, refused: Refused) -> None:
        """Detach the link it came by."""
        ...

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call after `seconds`, unless its link is gone by then."""
        ...


def act(fault: Fault, struck: Struck) -> None:
    """Let `fault` befall `struck`."""
    _ACTS[fault.do](fault, struck)


def _refuse(fault: Fault, struck: Struck) -> None:
    struck.refuse(refusal_of(fault))


def _release(fault: Fault, struck: Struck) -> None:
    struck.give_back(failed=False)


def _modify(fault: Fault, struck: Struck) -> None:
    struck.give_back(failed=True)


def _drop_before(fault: Fault, struck: Struck) -> None:
    struck.cut(done=False)


def _drop_after(fault: Fault, struck: Struck) -> None:
    _perform(struck)
    struck.cut(done=True)


def _late(fault: Fault, struck: Struck) -> None:
    refused = _perform(struck)
    answer = struck.answer if refused is None else lambda: struck.refuse(refused)
    struck.later(fault.seconds or 0, answer)


def _never(fault: Fault, struck: Struck) -> None:
    if fault.store:
        _perform(struck)


def _detach(fault: Fault, struck: Struck) -> None:
    if fault.store:
        _perform(struck)
    struck.detach_link(refusal_of(fault))


def _perform(struck: Struck) -> Refused | None:
    """Carry it out, and return why not if it was refused for reasons of its own."""
    try:
        struck.perform()
    except Refused as refused:
        return refused
    return None


_ACTS: dict[Action, Callable[[Fault, Struck], None]] = {
    "reject": _refuse,
    "throttle": _refuse,
    "refuse": _refuse,
    "disable": _refuse,
    "fill": _refuse,
    "release": _release,
    "modify": _modify,
    "drop_before": _drop_before,
    "drop_after": _drop_after,
    "late": _late,
    "never": _never,
    "detach": _detach,
}
