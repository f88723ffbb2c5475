"""The entities of one endpoint, and how an address of a link names one of them.

An address is the path of a URL or just the path; the host is not looked at, and names are compared
without regard to case, as the service does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from urllib.parse import unquote, urlsplit

from bridge.local.endpoint.clock import Clock, earliest
from bridge.local.endpoint.config import EntityConfig, TopicConfig
from bridge.local.endpoint.journal import Journal
from bridge.local.endpoint.outcomes import Refused, not_found
from bridge.local.endpoint.queue import Queue
from bridge.local.endpoint.topic import Subscription, Topic

_DEAD_LETTERS = "/$deadletterqueue"
_MANAGEMENT = "/$management"


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
            buried = _dead_letters(name, config, clock)
            self._add(name, Queue(name, config, clock, buried, journal))
        for name, topic in topics.items():
            subscriptions = {}
            for own, given in topic.subscriptions.items():
                path, config = f"{name}/Subscriptions/{own}", _under(topic, given)
                subscription = Subscription(path, config, clock, _dead_letters(path, config, clock))
                self._add(path, subscription)
                subscriptions[own] = subscription
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
            raise not_found(path)
        return Node(kind, entity)


def _under(topic: TopicConfig, config: EntityConfig) -> EntityConfig:
    """The settings of a subscription: of its time to live and its topic's, the shorter counts."""
    return replace(config, default_ttl=earliest(topic.config.default_ttl, config.default_ttl))


def _dead_letters(name: str, config: EntityConfig, clock: Clock) -> Queue:
    # A dead-letter queue detects no duplicates: it must keep whatever is moved to it.
    quiet = EntityConfig(lock_duration=config.lock_duration, duplicate_window=None)
    return Queue(f"{name}/$DeadLetterQueue", quiet, clock)
