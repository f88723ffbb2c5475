"""The entities of one endpoint, and how an address of a link names one of them.

An address is the path of a URL or just the path; the host is not looked at, and names are compared
without regard to case, as the service does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from urllib.parse import unquote, urlsplit

from bridge.local.endpoint.clock import Clock
from bridge.local.endpoint.config import EntityConfig, TopicConfig
from bridge.local.endpoint.journal import Journal
from bridge.local.endpoint.outcomes import NOT_FOUND, Refused
from bridge.local.endpoint.queue import Queue
from bridge.local.endpoint.topic import Topic

_DEAD_LETTERS = "/$deadletterqueue"
_MANAGEMENT = "/$management"
_SUBSCRIPTIONS = "/subscriptions/"


class NodeKind(Enum):
    """What a link can be attached to."""

    CBS = "cbs"
    MANAGEMENT = "management"
    MESSAGES = "messages"


@dataclass(frozen=True, slots=True)
class Node:
    """A thing with an address; `entity` is None for $cbs only."""

    kind: NodeKind
    entity: Queue | Topic | None = None

    @property
    def queue(self) -> Queue | None:
        """What there is to receive from: a queue, a subscription, a dead-letter queue."""
        return self.entity if isinstance(self.entity, Queue) else None


class Namespace:
    """Queues and topics by name; each queue and subscription has its dead-letter queue.

    A name is that of a queue or of a topic, without regard to case. Raises ValueError.
    """

    def __init__(
        self,
        queues: Mapping[str, EntityConfig],
        topics: Mapping[str, TopicConfig],
        clock: Clock,
        journal: Journal | None,
    ) -> None:
        self._entities: dict[str, Queue | Topic] = {}
        for name, config in queues.items():
            self._add(name, _queue(name, config, clock, journal))
        for name, topic in topics.items():
            subscriptions = {}
            for own, config in topic.subscriptions.items():
                # Duplicates are the topic's affair; what it lets through, each of them gets.
                quiet = replace(config, duplicate_window=None)
                path = f"{name}/Subscriptions/{own}"
                subscriptions[own] = subscription = _queue(path, quiet, clock, None)
                self._add(path, subscription)
            self._add(name, Topic(name, topic.config, clock, subscriptions, journal))

    def _add(self, name: str, entity: Queue | Topic) -> None:
        key = name.lower()
        if not name or key.startswith("$") or key.endswith((_DEAD_LETTERS, _MANAGEMENT)):
            raise ValueError(f"{name!r} cannot be the name of an entity")
        if key in self._entities:
            raise ValueError(f"there are two entities named {name!r}")
        self._entities[key] = entity

    def all(self) -> Iterator[Queue | Topic]:
        """Every entity, dead-letter queues included."""
        for entity in self._entities.values():
            yield entity
            if isinstance(entity, Queue) and entity.dead_letters is not None:
                yield entity.dead_letters

    def name_of(self, address: str) -> str | None:
        """The name of what messages are sent to or received from at `address`, if there is any."""
        try:
            node = self.find(address)
        except Refused:
            return None
        return None if node.entity is None else node.entity.name

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
        entity = self._entities.get(key.removesuffix(_DEAD_LETTERS))
        if buried:
            entity = entity.dead_letters if isinstance(entity, Queue) else None
        if entity is None:
            raise Refused(NOT_FOUND, f"The messaging entity '{path}' could not be found.")
        return Node(kind, entity)


def is_subscription(queue: Queue) -> bool:
    """Whether `queue` gets its messages from a topic, and nobody may send to it."""
    return _SUBSCRIPTIONS in queue.name.lower()


def _queue(name: str, config: EntityConfig, clock: Clock, journal: Journal | None) -> Queue:
    # A dead-letter queue detects no duplicates: it must keep whatever is moved to it.
    quiet = EntityConfig(lock_duration=config.lock_duration, duplicate_window=None)
    return Queue(name, config, clock, Queue(f"{name}/$DeadLetterQueue", quiet, clock), journal)
