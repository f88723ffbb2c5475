"""The queues of one endpoint, and how an address of a link names one of them.

An address is the path of a URL or just the path; the host is not looked at, and names are compared
without regard to case, as the service does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from urllib.parse import unquote, urlsplit

from bridge.local.endpoint.clock import Clock
from bridge.local.endpoint.config import EntityConfig
from bridge.local.endpoint.journal import Journal
from bridge.local.endpoint.outcomes import NOT_FOUND, Refused
from bridge.local.endpoint.queue import Queue

_DEAD_LETTERS = "/$deadletterqueue"
_MANAGEMENT = "/$management"


class NodeKind(Enum):
    """What a link can be attached to."""

    CBS = "cbs"
    MANAGEMENT = "management"
    MESSAGES = "messages"


@dataclass(frozen=True, slots=True)
class Node:
    """A thing with an address; `queue` is None for $cbs only."""

    kind: NodeKind
    queue: Queue | None = None


class Namespace:
    """Queues by name, each with its dead-letter queue."""

    def __init__(
        self, queues: Mapping[str, EntityConfig], clock: Clock, journal: Journal | None
    ) -> None:
        self._queues: dict[str, Queue] = {}
        for name, config in queues.items():
            key = name.lower()
            if not name or key.startswith("$") or key.endswith((_DEAD_LETTERS, _MANAGEMENT)):
                raise ValueError(f"{name!r} cannot be the name of a queue")
            if key in self._queues:
                raise ValueError(f"there are two queues named {name!r}")
            # A dead-letter queue detects no duplicates: it must keep whatever is moved to it.
            quiet = EntityConfig(lock_duration=config.lock_duration, duplicate_window=None)
            buried = Queue(f"{name}/$DeadLetterQueue", quiet, clock)
            self._queues[key] = Queue(name, config, clock, buried, journal)

    def __iter__(self) -> Iterator[Queue]:
        """The queues that have a name of their own."""
        return iter(self._queues.values())

    def all(self) -> Iterator[Queue]:
        """Every queue, dead-letter queues included."""
        for queue in self._queues.values():
            yield queue
            if queue.dead_letters is not None:
                yield queue.dead_letters

    def find(self, address: str | None) -> Node:
        """What `address` names. Raises Refused (not found)."""
        path = address or ""
        if "://" in path:
            path = unquote(urlsplit(path).path)
        path = path.strip("/")
        key = path.lower()
        if key == "$cbs":
            return Node(NodeKind.CBS)
        kind = NodeKind.MESSAGES
        if key.endswith(_MANAGEMENT):
            kind, key = NodeKind.MANAGEMENT, key.removesuffix(_MANAGEMENT)
        buried = key.endswith(_DEAD_LETTERS)
        queue = self._queues.get(key.removesuffix(_DEAD_LETTERS))
        if queue is not None and buried:
            queue = queue.dead_letters
        if queue is None:
            raise Refused(NOT_FOUND, f"The messaging entity '{path}' could not be found.")
        return Node(kind, queue)
