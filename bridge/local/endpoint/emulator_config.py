"""Entities from the `Config.json` of Microsoft's Service Bus emulator.

The limits are those the emulator's documentation names ("Overview of the Azure Service Bus
emulator": quotas and configuration), so that a file which is taken here is taken there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bridge.local.endpoint.config import EntityConfig, TopicConfig
from bridge.local.endpoint.config_values import (
    Read,
    Reading,
    duration,
    ignore,
    read_array,
    read_count,
    read_flag,
    read_object,
    read_text,
    refuse,
)
from bridge.local.endpoint.jsonc import Node, Unreadable, parse

MOST_ENTITIES = 50
MOST_SUBSCRIPTIONS = 50
LONGEST_NAME = 260
LONGEST_SUBSCRIPTION_NAME = 50
LONGEST_LOCK = 300.0
LONGEST_TTL = 3600.0
DUPLICATE_WINDOW = (5.0, 300.0)

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?", re.ASCII)


class BadConfig(ValueError):
    """A Config.json that is not taken; a line for each thing that is wrong with it."""


def read_config(path: Path) -> tuple[dict[str, EntityConfig], dict[str, TopicConfig]]:
    """The queues and the topics of the file, by name.

    Raises BadConfig with every problem (`file:line:column: key: problem`), and OSError.
    """
    try:
        document = parse(path.read_text("utf-8-sig"))
    except (Unreadable, UnicodeDecodeError) as error:
        raise BadConfig(f"{path}: {error}") from None
    reading = Reading()
    found = read_object(
        reading, document, "", {"UserConfig": _user_config}, required=("UserConfig",)
    )
    if reading.problems:
        raise BadConfig(
            "\n".join(
                f"{path}:{line}:{column}: {problem}"
                for line, column, problem in sorted(reading.problems)
            )
        )
    queues, topics = found["UserConfig"]
    return queues, topics


def _user_config(reading: Reading, node: Node, path: str) -> Any:
    found = read_object(
        reading,
        node,
        path,
        {"Namespaces": _namespaces, "Logging": ignore},
        required=("Namespaces",),
    )
    return found.get("Namespaces")


def _namespaces(reading: Reading, node: Node, path: str) -> Any:
    items = read_array(reading, node, path)
    if len(items) != 1:
        reading.wrong(node, path, f"it has {len(items)} namespaces; there is exactly one")
        return None
    keys: dict[str, Read] = {"Name": read_text, "Queues": _queues, "Topics": _topics}
    found = read_object(reading, items[0], f"{path}[0]", keys, required=("Name",))
    queues, topics = found.get("Queues") or {}, found.get("Topics") or {}
    if len(queues) + len(topics) > MOST_ENTITIES:
        reading.wrong(
            node, path, f"it has {len(queues) + len(topics)} entities; {MOST_ENTITIES} at most"
        )
    names = [name.lower() for name in (*queues, *topics)]
    for name in sorted({name for name in names if names.count(name) > 1}):
        reading.wrong(node, path, f"two entities are named {name!r}, without regard to case")
    return queues, topics


def _queues(reading: Reading, node: Node, path: str) -> dict[str, EntityConfig]:
    return dict(_named(reading, node, path, LONGEST_NAME, {"Properties": _queue_properties}))


def _topics(reading: Reading, node: Node, path: str) -> dict[str, TopicConfig]:
    keys: dict[str, Read] = {"Properties": _topic_properties, "Subscriptions": _subscriptions}
    return dict(_named(reading, node, path, LONGEST_NAME, keys, _topic))


def _topic(found: Mapping[str, Any]) -> TopicConfig:
    return TopicConfig(
        found.get("Properties") or EntityConfig(duplicate_window=None),
        found.get("Subscriptions") or {},
    )


def _subscriptions(reading: Reading, node: Node, path: str) -> dict[str, EntityConfig]:
    keys: dict[str, Read] = {"Properties": _subscription_properties, "Rules": _rules}
    named = dict(_named(reading, node, path, LONGEST_SUBSCRIPTION_NAME, keys))
    if len(named) > MOST_SUBSCRIPTIONS:
        reading.wrong(
            node, path, f"it has {len(named)} subscriptions; {MOST_SUBSCRIPTIONS} at most"
        )
    return named


def _rules(reading: Reading, node: Node, path: str) -> None:
    if read_array(reading, node, path):
        reading.wrong(
            node,
            path,
            "filters are not built here: every subscription gets every message; remove the rules"
            " to take it so",
        )


def _entity(found: Mapping[str, Any]) -> EntityConfig:
    given = found.get("Properties")
    return given if isinstance(given, EntityConfig) else EntityConfig(duplicate_window=None)


def _named(
    reading: Reading,
    node: Node,
    path: str,
    longest: int,
    keys: dict[str, Read],
    make: Callable[[Mapping[str, Any]], Any] = _entity,
) -> Iterator[tuple[str, Any]]:
    known: set[str] = set()
    for number, item in enumerate(read_array(reading, node, path)):
        where = f"{path}[{number}]"
        found = read_object(reading, item, where, {"Name": read_text} | keys, required=("Name",))
        name = found.get("Name")
        if name is None:
            continue
        if not _NAME.fullmatch(name) or len(name) > longest:
            reading.wrong(
                item,
                f"{where}.Name",
                f"{name!r} is no name: 1 to {longest} letters, digits, '.', '-', '_' and '/',"
                " with a letter or a digit at both ends",
            )
        elif name.lower() in known:
            reading.wrong(item, f"{where}.Name", f"the name {name!r} is there twice")
        known.add(name.lower())
        yield name, make(found)


def _settings(reading: Reading, node: Node, path: str, keys: dict[str, Read]) -> EntityConfig:
    found = read_object(reading, node, path, keys)
    detects = found.get("RequiresDuplicateDetection", False)
    chosen: dict[str, Any] = {
        # The service's default window, for a file that only turns duplicate detection on.
        "duplicate_window": found.get("DuplicateDetectionHistoryTimeWindow", 300.0)
        if detects
        else None
    }
    for key, name in (
        ("LockDuration", "lock_duration"),
        ("MaxDeliveryCount", "max_delivery_count"),
        ("DefaultMessageTimeToLive", "default_ttl"),
        ("DeadLetteringOnMessageExpiration", "dead_letter_on_expiry"),
    ):
        if found.get(key) is not None:
            chosen[name] = found[key]
    return EntityConfig() if reading.problems else EntityConfig(**chosen)


def _queue_properties(reading: Reading, node: Node, path: str) -> EntityConfig:
    return _settings(reading, node, path, {**_SUBSCRIPTION, **_DUPLICATES})


def _subscription_properties(reading: Reading, node: Node, path: str) -> EntityConfig:
    return _settings(reading, node, path, dict(_SUBSCRIPTION))


def _topic_properties(reading: Reading, node: Node, path: str) -> EntityConfig:
    ttl = {"DefaultMessageTimeToLive": _SUBSCRIPTION["DefaultMessageTimeToLive"]}
    return _settings(reading, node, path, {**ttl, **_DUPLICATES})


_NO_FORWARDING = refuse("forwarding is not built here; leave it empty")
_SUBSCRIPTION: Mapping[str, Read] = {
    "DeadLetteringOnMessageExpiration": read_flag,
    "DefaultMessageTimeToLive": duration(1, LONGEST_TTL),
    "ForwardDeadLetteredMessagesTo": _NO_FORWARDING,
    "ForwardTo": _NO_FORWARDING,
    "LockDuration": duration(1, LONGEST_LOCK),
    "MaxDeliveryCount": read_count,
    "RequiresSession": refuse("sessions are not built here; set it to false"),
}
_DUPLICATES: Mapping[str, Read] = {
    "DuplicateDetectionHistoryTimeWindow": duration(*DUPLICATE_WINDOW),
    "RequiresDuplicateDetection": read_flag,
}
