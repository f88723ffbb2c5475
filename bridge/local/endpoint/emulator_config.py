"""Entities from the `Config.json` of Microsoft's Service Bus emulator.

Its limits are kept to, so that a file which is taken here is taken there: one namespace, 50
entities, 50 subscriptions of a topic ("Overview of the Azure Service Bus emulator", usage quotas),
at least one of each topic, and the names of its JSON schema; names as long as the service has them
("Service Bus quotas"). `emulator_settings` has the properties.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bridge.local.endpoint.config import EntityConfig, TopicConfig
from bridge.local.endpoint.config_values import (
    Read,
    Reading,
    ignore,
    read_array,
    read_object,
    read_text,
)
from bridge.local.endpoint.emulator_rules import read_rules
from bridge.local.endpoint.emulator_settings import (
    DEFAULTS,
    queue_properties,
    subscription_properties,
    topic_properties,
)
from bridge.local.endpoint.jsonc import Node, Unreadable, parse

_NAMESPACE = "sbemulatorns"
_MOST_ENTITIES = 50
_MOST_SUBSCRIPTIONS = 50
_LONGEST_NAME = 260
_LONGEST_SUBSCRIPTION_NAME = 50

# Also issue 134 of the emulator's installer, which has the emulator's own words for it.
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?", re.ASCII)


class BadConfig(ValueError):
    """A Config.json that is not taken; a line for each thing that is wrong with it."""


class FileEntities(NamedTuple):
    """What a file describes; `notes` is what the reader of a log should know, a line each."""

    queues: dict[str, EntityConfig]
    topics: dict[str, TopicConfig]
    notes: list[str]


def read_config(path: Path, *, ignore_rules: bool = False) -> FileEntities:
    """The queues and the topics of the file, by name.

    ignore_rules: take subscriptions that have filters as if they had none.

    Raises BadConfig with every problem (`file:line:column: key: problem`), and OSError.
    """
    try:
        document = parse(path.read_text("utf-8-sig"))
    except Unreadable as error:
        raise BadConfig(f"{path}:{error}") from None
    except UnicodeDecodeError as error:
        raise BadConfig(f"{path}: it is not UTF-8: {error}") from None
    reading = Reading(ignore_rules)
    keys: dict[str, Read] = {"UserConfig": _user_config, "$schema": ignore}
    found = read_object(reading, document, "", keys, required=("UserConfig",))
    if reading.problems:
        raise BadConfig("\n".join(_lines(path, reading.problems)))
    queues, topics = found["UserConfig"]["Namespaces"]
    return FileEntities(queues, topics, _lines(path, reading.notes))


def _lines(path: Path, said: list[tuple[int, int, str]]) -> list[str]:
    return [f"{path}:{line}:{column}: {text}" for line, column, text in sorted(said)]


def _user_config(reading: Reading, node: Node, path: str) -> Any:
    keys: dict[str, Read] = {"Namespaces": _namespaces, "Logging": ignore}
    return read_object(reading, node, path, keys, required=("Namespaces",))


def _namespaces(reading: Reading, node: Node, path: str) -> Any:
    items = read_array(reading, node, path)
    if len(items) != 1:
        reading.wrong(node, path, f"it has {len(items)} namespaces; the emulator has exactly one")
        return None
    keys: dict[str, Read] = {"Name": _namespace_name, "Queues": _queues, "Topics": _topics}
    found = read_object(reading, items[0], f"{path}[0]", keys, required=("Name",))
    queues, topics = found.get("Queues", []), found.get("Topics", [])
    _check_all(
        reading,
        [*queues, *topics],
        _MOST_ENTITIES,
        "queues and topics (queues given with --queue are not counted)",
    )
    return {each.name: each.value for each in queues}, {each.name: each.value for each in topics}


def _namespace_name(reading: Reading, node: Node, path: str) -> None:
    name = read_text(reading, node, path)
    if name not in (None, _NAMESPACE):
        # As the emulator has it: microsoft/aspire#8285.
        reading.note(
            node, path, f"{name!r} has no effect; the namespace is called {_NAMESPACE!r} anyway"
        )


class _Named(NamedTuple):
    node: Node
    path: str
    name: str
    value: Any


def _queues(reading: Reading, node: Node, path: str) -> list[_Named]:
    return _named(reading, node, path, _LONGEST_NAME, {"Properties": queue_properties}, _entity)


def _topics(reading: Reading, node: Node, path: str) -> list[_Named]:
    keys: dict[str, Read] = {"Properties": topic_properties, "Subscriptions": _subscriptions}
    return _named(reading, node, path, _LONGEST_NAME, keys, _topic)


def _subscriptions(reading: Reading, node: Node, path: str) -> dict[str, EntityConfig]:
    keys: dict[str, Read] = {"Properties": subscription_properties, "Rules": read_rules}
    named = _named(reading, node, path, _LONGEST_SUBSCRIPTION_NAME, keys, _entity)
    _check_all(reading, named, _MOST_SUBSCRIPTIONS, "subscriptions of a topic")
    return {each.name: each.value for each in named}


def _entity(reading: Reading, node: Node, path: str, found: Mapping[str, Any]) -> EntityConfig:
    config: EntityConfig = found.get("Properties") or DEFAULTS
    return config


def _topic(reading: Reading, node: Node, path: str, found: Mapping[str, Any]) -> TopicConfig:
    subscriptions = found.get("Subscriptions") or {}
    if not subscriptions:
        reading.wrong(
            node,
            path,
            "it has no subscriptions; the emulator takes no topic without one (one given with"
            " --topic may be without)",
        )
    return TopicConfig(_entity(reading, node, path, found), subscriptions)


def _named(
    reading: Reading,
    node: Node,
    path: str,
    longest: int,
    keys: dict[str, Read],
    make: Callable[[Reading, Node, str, Mapping[str, Any]], Any],
) -> list[_Named]:
    named = []
    for number, item in enumerate(read_array(reading, node, path)):
        where = f"{path}[{number}]"
        found = read_object(reading, item, where, {"Name": read_text} | keys, required=("Name",))
        value = make(reading, item, where, found)
        name = found.get("Name")
        if name is None or not isinstance(item.value, dict):
            continue
        named.append(_Named(item.value["Name"], f"{where}.Name", name, value))
        if not _NAME.fullmatch(name) or len(name) > longest:
            reading.wrong(
                named[-1].node,
                named[-1].path,
                f"{name!r} is no name: 1 to {longest} letters, digits, '.', '-', '_' and '/',"
                " with a letter or a digit at both ends",
            )
    return named


def _check_all(reading: Reading, named: list[_Named], most: int, what: str) -> None:
    first: dict[str, _Named] = {}
    for each in named:
        before = first.setdefault(each.name.lower(), each)
        if before is not each:
            reading.wrong(
                each.node,
                each.path,
                f"the name {each.name!r} is there twice, first in line {before.node.line};"
                " names have no case",
            )
    for each in named[most : most + 1]:
        reading.wrong(each.node, each.path, f"of {len(named)} {what} the emulator takes {most}")
