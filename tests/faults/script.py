"""Which faults of the endpoint a run sets, in which order: drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

Fault = dict[str, Any]

#: Seconds for which the bridges of a run wait for the answer to a send.
SEND_DEADLINE = 4

ENTITY = "tasks"

#: Every kind of fault once; `name` is its kind until a run numbers it.
KINDS: tuple[Fault, ...] = (
    {"name": "send-busy", "on": "send", "do": "reject"},
    {
        "name": "send-internal-error",
        "on": "send",
        "do": "reject",
        "condition": "amqp:internal-error",
        "description": "The service was unable to process the request; please retry.",
    },
    {"name": "send-throttled", "on": "send", "do": "throttle", "for_seconds": 2},
    {"name": "send-released", "on": "send", "do": "release"},
    {"name": "send-modified", "on": "send", "do": "modify"},
    {"name": "send-dropped-before-storing", "on": "send", "do": "drop_before"},
    {"name": "send-dropped-after-storing", "on": "send", "do": "drop_after"},
    {"name": "send-answered-late", "on": "send", "do": "late", "seconds": 1.5},
    {"name": "send-answered-too-late", "on": "send", "do": "late", "seconds": SEND_DEADLINE + 2},
    {"name": "send-stored-never-answered", "on": "send", "do": "never", "store": True},
    {"name": "send-not-stored-never-answered", "on": "send", "do": "never", "store": False},
    {"name": "send-detached", "on": "send", "do": "detach"},
    {"name": "links-detached", "on": "now", "do": "detach", "for_seconds": 0},
    {"name": "tokens-refused", "on": "token", "do": "refuse", "times": None, "for_seconds": 2},
    {"name": "connections-refused", "on": "connect", "do": "refuse", "times": 3},
    {"name": "entity-disabled", "on": "attach", "do": "disable", "for_seconds": 2},
    {"name": "entity-full", "on": "send", "do": "fill", "times": None, "for_seconds": 2},
    {"name": "delivery-dropped", "on": "deliver", "do": "drop_after"},
    {"name": "completion-never-answered", "on": "settle", "do": "never"},
    {
        "name": "completion-lock-lost",
        "on": "settle",
        "do": "reject",
        "condition": "com.microsoft:message-lock-lost",
        "description": "The lock supplied is invalid.",
        "times": 5,
    },
)


def faults(seed: int) -> Iterator[Fault]:
    """Faults without end, each kind once before any comes again; names are unique."""
    chance = random.Random(seed)
    number = 0
    while True:
        for kind in chance.sample(KINDS, len(KINDS)):
            number += 1
            entity = {} if kind["on"] in ("token", "connect") else {"entity": ENTITY}
            yield kind | entity | {"name": f"{kind['name']}-{number}"}
