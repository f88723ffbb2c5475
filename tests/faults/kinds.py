"""The kinds of faults that a run schedules, and when each of them happens: drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

#: Seconds a bridge of a run holds a batch without a sign of life.
LEASE = 10

#: Seconds for which the bridges of a run wait for the answer to a send.
SEND_DEADLINE = 4

#: Seconds after which an attempt without a heartbeat is taken over.
TASK_TIMEOUT = 10

ENTITY = "tasks"

EndpointFault = dict[str, Any]

#: What the endpoint can do to an operation, each at its worst: fields of a scripted fault.
OF_THE_ENDPOINT: dict[str, EndpointFault] = {
    "send-busy": {"on": "send", "do": "reject"},
    "send-internal-error": {
        "on": "send",
        "do": "reject",
        "condition": "amqp:internal-error",
        "description": "The service was unable to process the request; please retry.",
    },
    "send-throttled": {"on": "send", "do": "throttle", "for_seconds": 2},
    "send-full": {"on": "send", "do": "fill", "times": None, "for_seconds": 2},
    "send-disabled": {"on": "send", "do": "disable", "times": None, "for_seconds": 2},
    "send-released": {"on": "send", "do": "release"},
    "send-modified": {"on": "send", "do": "modify"},
    "send-dropped-before-storing": {"on": "send", "do": "drop_before"},
    "send-dropped-after-storing": {"on": "send", "do": "drop_after"},
    "send-answered-late": {"on": "send", "do": "late", "seconds": 1.5},
    "send-answered-too-late": {"on": "send", "do": "late", "seconds": SEND_DEADLINE + 2},
    "send-stored-never-answered": {"on": "send", "do": "never", "store": True},
    "send-not-stored-never-answered": {"on": "send", "do": "never", "store": False},
    "send-stored-detached": {"on": "send", "do": "detach", "store": True},
    "send-not-stored-detached": {"on": "send", "do": "detach", "store": False},
    "links-detached": {"on": "now", "do": "detach", "for_seconds": 0},
    "connection-refused": {"on": "connect", "do": "refuse", "times": 3},
    "connection-late": {"on": "connect", "do": "late", "seconds": 1.5},
    "connection-never": {"on": "connect", "do": "never"},
    "token-refused": {"on": "token", "do": "refuse", "times": None, "for_seconds": 2},
    "token-late": {"on": "token", "do": "late", "seconds": 1.5},
    "token-never": {"on": "token", "do": "never"},
    "token-dropped": {"on": "token", "do": "drop_after"},
    "attach-busy": {"on": "attach", "do": "reject"},
    "attach-refused": {"on": "attach", "do": "refuse"},
    "attach-late": {"on": "attach", "do": "late", "seconds": 1.5},
    "attach-never": {"on": "attach", "do": "never"},
    "attach-dropped": {"on": "attach", "do": "drop_after"},
    "attach-detached": {"on": "attach", "do": "detach"},
    "attach-disabled": {"on": "attach", "do": "disable", "times": None, "for_seconds": 2},
    "delivery-dropped-before": {"on": "deliver", "do": "drop_before"},
    "delivery-dropped-after": {"on": "deliver", "do": "drop_after"},
    "delivery-late": {"on": "deliver", "do": "late", "seconds": 1.5},
    "delivery-never": {"on": "deliver", "do": "never"},
    "delivery-detached": {"on": "deliver", "do": "detach"},
    "completion-dropped-before": {"on": "settle", "do": "drop_before"},
    "completion-dropped-after": {"on": "settle", "do": "drop_after"},
    "completion-never-answered": {"on": "settle", "do": "never"},
    "completion-lock-lost": {
        "on": "settle",
        "do": "reject",
        "condition": "com.microsoft:message-lock-lost",
        "description": "The lock supplied is invalid.",
        "times": 5,
    },
}

#: Befall who opens a connection or a link: all connections are cut, so that somebody does.
AT_A_BEGINNING = ("connect", "token", "attach")

#: Signals to processes, moved clocks, and what is done to PostgreSQL.
OF_PROCESSES = (
    "bridge-killed",
    "bridge-stopped",
    "worker-killed",
    "worker-stopped",
    "producer-killed",
    "controller-killed",
    "connections-cut",
    "postgres-crashed",
    "postgres-restarted",
    "backend-terminated",
    "backend-killed",
)
OF_CLOCKS = ("bridge-clock-shifted", "worker-clock-shifted")

Measure = Literal["published", "worked"]


def measure(kind: str) -> Measure:
    """What a kind holds back: the publishing of tasks, or the work on them."""
    held_back = ("worker", "delivery", "completion")
    return "worked" if kind.startswith(held_back) else "published"


@dataclass(frozen=True)
class Scheduled:
    """A fault that is to happen."""

    number: int
    at: float
    """Seconds after the run began."""
    kind: str
    seed: int
    """Of the fault's own draws: whom it befalls, and for how long."""


def all_kinds(*, clocks: bool) -> list[str]:
    return [*OF_THE_ENDPOINT, *OF_PROCESSES, *(OF_CLOCKS if clocks else ())]


def schedule(seed: int, seconds: float, kinds: Sequence[str], pace: float) -> list[Scheduled]:
    """A fault every `pace` seconds or so; each kind once before any comes again."""
    chance = random.Random(seed)
    drawn: list[Scheduled] = []
    waiting: list[str] = []
    at = pace
    while at < seconds:
        waiting = waiting or chance.sample(list(kinds), len(kinds))
        drawn.append(Scheduled(len(drawn) + 1, at, waiting.pop(), chance.getrandbits(32)))
        at += chance.uniform(0.5, 1.5) * pace
    return drawn
