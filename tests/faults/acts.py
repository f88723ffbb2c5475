"""Doing a fault to a world, and seeing that it had an effect."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import psycopg

from tests.faults.kinds import (
    AT_A_BEGINNING,
    ENTITY,
    LEASE,
    OF_CLOCKS,
    OF_THE_ENDPOINT,
    TASK_TIMEOUT,
    EndpointFault,
    Scheduled,
)
from tests.faults.members import Member
from tests.faults.verdict import Happened
from tests.faults.world import World

#: Seconds within which the effect of a fault must be seen: time for a destination that is paused
#: to be tried again, and for a bridge or worker to get there.
PATIENCE = 40.0

#: Seconds after which connections are cut once more, to make somebody come by.
CUT_AGAIN = 5.0

#: The longest shift of a clock, in seconds.
LONGEST_SHIFT = 3600

T = TypeVar("T")


class NoEffect(Exception):
    """A fault was set, and nothing came of it."""


def do(world: World, fault: Scheduled) -> Happened:
    """Does it as soon as its turn comes, and sees what comes of it."""
    chance = random.Random(fault.seed)
    error = ""
    with _turn(world, fault.kind):
        at = time.monotonic()
        while time.monotonic() - at < PATIENCE:
            try:
                if fault.kind in OF_THE_ENDPOINT:
                    effect = _scripted(world, fault, OF_THE_ENDPOINT[fault.kind])
                else:
                    effect = _ACTS[fault.kind](world, chance)
                return Happened(fault.number, fault.kind, at, effect)
            except NoEffect as none:
                return Happened(fault.number, fault.kind, at, None, str(none))
            except (psycopg.Error, OSError) as failed:
                # Another fault was in the way, such as PostgreSQL being away.
                error = f"{type(failed).__name__}: {failed}"
                time.sleep(0.2)
    return Happened(fault.number, fault.kind, at, None, error)


def _turn(world: World, kind: str) -> AbstractContextManager[object]:
    """What keeps everybody from PostgreSQL or the broker happens one after the other.

    So that there is something to disturb, not too many other sends are disturbed at once.
    """
    if kind.startswith(("postgres", "backend")):
        return world.postgres_busy
    if kind in OF_CLOCKS:
        # A clock that is set right again by one fault is not seen shifted by another.
        return world.clocks_busy
    if kind in OF_THE_ENDPOINT and not for_everybody(OF_THE_ENDPOINT[kind]):
        return world.disturbing if kind.startswith("send") else nullcontext()
    return world.broker_busy if kind in (*OF_THE_ENDPOINT, "connections-cut") else nullcontext()


def for_everybody(fields: EndpointFault) -> bool:
    """Whether nobody is served meanwhile, or all are cut off to bring it about."""
    return fields["on"] in (*AT_A_BEGINNING, "now") or fields.get("for_seconds", 0) > 0


def _scripted(world: World, fault: Scheduled, fields: EndpointFault) -> str:
    # Another name for another try, should the endpoint not have answered the first.
    name = f"{fault.kind}-{fault.number}-{time.monotonic_ns()}"
    entity = {} if fields["on"] in ("token", "connect") else {"entity": ENTITY}
    # What lasts for a while must still be there when somebody comes by.
    lasts = float(fields.get("for_seconds", 0))
    fields = fields | entity | ({"for_seconds": PATIENCE} if lasts else {})
    faults = world.endpoint.faults
    cut_at = -CUT_AGAIN

    def befallen() -> bool:
        nonlocal cut_at
        if fields["on"] == "now":
            # Whoever is there, is befallen at once.
            return bool(faults.set(name=name, **fields)["done"] or not faults.remove(name))
        if fields["on"] in AT_A_BEGINNING and time.monotonic() - cut_at > CUT_AGAIN:
            world.endpoint.cut_connections()
            cut_at = time.monotonic()
        return bool(_times(world, name))

    if fields["on"] != "now":
        faults.set(name=name, **fields)
    happened = _within(PATIENCE, befallen)
    if happened:
        time.sleep(lasts)
    done = int(faults.remove(name)["done"]) if happened or fields["on"] != "now" else 0
    if not done:
        raise NoEffect(f"nobody came by within {PATIENCE:g} s")
    return f"{done} times"


def _times(world: World, name: str) -> int:
    return sum(
        int(each["done"]) for each in world.endpoint.faults.list() if each["fault"]["name"] == name
    )


def _kill(world: World, chance: random.Random, prefix: str) -> str:
    member = chance.choice(world.named(prefix))
    with member.busy:
        ended = member.kill()
        time.sleep(chance.uniform(0, 2))
        member.start()
    if ended != -signal.SIGKILL:
        raise NoEffect(f"{member.name} ended with {ended}")
    return f"{member.name} killed"


def _stop(world: World, chance: random.Random, prefix: str, longest: float) -> str:
    member = chance.choice(world.named(prefix))
    seconds = chance.uniform(1, longest)
    with member.busy:
        stood_still = member.stop_for(seconds)
    if not stood_still:
        raise NoEffect(f"{member.name} did not stand still")
    return f"{member.name} stood still for {seconds:.1f} s"


def _shift_clock(
    world: World, chance: random.Random, prefix: str, off: Callable[[Member, int], float | None]
) -> str:
    (member,) = (each for each in world.named(prefix) if each.has_clock)
    seconds = chance.choice((-1, 1)) * chance.randint(60, LONGEST_SHIFT)
    with member.busy:
        # What it writes from here on has the new time.
        size = _size(member)
        member.shift_clock(seconds)

    def seen() -> bool:
        shift = off(member, size)
        return shift is not None and abs(shift - seconds) < 30

    if not _within(PATIENCE, seen):
        raise NoEffect(f"{member.name} never had the time {seconds:+d} s")
    if prefix == "worker":
        # The SDK settles nothing while its clock says that the lock is over: set it right again.
        time.sleep(chance.uniform(1, 10))
        member.shift_clock(0)
    return f"{member.name} {seconds:+d} s"


def _size(member: Member) -> int:
    path = member.log if member.name.startswith("bridge") else member.ledger
    return path.stat().st_size if path.exists() else 0


def _by_its_log(member: Member, size: int) -> float | None:
    """How far off the last line of its log is."""
    for line in reversed(member.log.read_bytes()[size:].decode("utf-8", "replace").splitlines()):
        if line.startswith("{") and line.endswith("}"):
            return datetime.fromisoformat(json.loads(line)["at"]).timestamp() - time.time()
    return None


def _by_its_ledger(member: Member, size: int) -> float | None:
    """How far off its wall clock was from its other clock in the last line of its ledger."""
    lines = member.ledger.read_bytes()[size:].decode("utf-8").split("\n")
    if len(lines) < 2:
        return None
    *_, at, wall_clock = lines[-2].split("\t")
    return float(wall_clock) - float(at) - (time.time() - time.monotonic())


def _cut(world: World, chance: random.Random) -> str:
    cut = 0

    def connections() -> int:
        nonlocal cut
        cut = world.endpoint.cut_connections()
        return cut

    if not _within(PATIENCE, connections):
        raise NoEffect("nobody was connected")
    return f"{cut} connections"


def _restart(world: World, chance: random.Random, mode: signal.Signals) -> str:
    away = chance.uniform(0.2, 2)
    if not world.restart_postgres(mode, away):
        raise NoEffect("the same server answers")
    return f"away for {away:.1f} s and more"


def _backend(world: World, chance: random.Random, *, kill: bool) -> str:
    backends = _within(PATIENCE, lambda: _backends(world))
    if not backends:
        raise NoEffect("nobody was connected")
    pid, role = chance.choice(backends)
    if kill:
        # PostgreSQL then ends all others, and recovers.
        os.kill(pid, signal.SIGKILL)
    else:
        world.execute("select pg_terminate_backend(%s)", pid)
    if not _within(PATIENCE, lambda: not Path(f"/proc/{pid}").exists()):
        raise NoEffect(f"backend {pid} of {role} goes on")
    return f"backend {pid} of {role}"


def _backends(world: World) -> list[tuple[int, str]]:
    try:
        return [
            (int(pid), str(role))
            for pid, role in world.execute(
                "select pid, usename from pg_stat_activity where usename like 'chaos%%'"
                " order by pid"
            )
        ]
    except psycopg.Error:
        return []


def _within(seconds: float, look: Callable[[], T]) -> T:
    """The first answer that is true, or the last after `seconds`."""
    give_up = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < give_up:
        time.sleep(0.05)
    return found


_ACTS: dict[str, Callable[[World, random.Random], str]] = {
    "bridge-killed": lambda world, chance: _kill(world, chance, "bridge"),
    "bridge-stopped": lambda world, chance: _stop(world, chance, "bridge", 1.5 * LEASE),
    "worker-killed": lambda world, chance: _kill(world, chance, "worker"),
    "worker-stopped": lambda world, chance: _stop(world, chance, "worker", 1.5 * TASK_TIMEOUT),
    "producer-killed": lambda world, chance: _kill(world, chance, "producer"),
    "controller-killed": lambda world, chance: _kill(world, chance, "controller"),
    "bridge-clock-shifted": lambda world, chance: _shift_clock(
        world, chance, "bridge", _by_its_log
    ),
    "worker-clock-shifted": lambda world, chance: _shift_clock(
        world, chance, "worker", _by_its_ledger
    ),
    "connections-cut": _cut,
    "postgres-crashed": lambda world, chance: _restart(world, chance, signal.SIGQUIT),
    "postgres-restarted": lambda world, chance: _restart(world, chance, signal.SIGINT),
    "backend-terminated": lambda world, chance: _backend(world, chance, kill=False),
    "backend-killed": lambda world, chance: _backend(world, chance, kill=True),
}
