"""The properties of an entity in the emulator's `Config.json`, and what they may be there.

Sources, of the repository Azure/azure-service-bus-emulator-installer: its JSON schema
(`ServiceBus-Emulator/Schema/Config-schema.json`) for keys, defaults and most limits; its issue 53
for locks from five seconds, also of subscriptions, where the schema has a minute; and "Overview of
the Azure Service Bus emulator", usage quotas, for the time to live. A value that the emulator
refuses is refused here too, since the file is to work in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.local.endpoint.config import EntityConfig
from bridge.local.endpoint.config_values import (
    Read,
    Reading,
    duration,
    read_flag,
    read_object,
    refuse,
    seconds,
    whole_number,
)
from bridge.local.endpoint.jsonc import Node

# The defaults of the schema, which are not those of the service.
_DEFAULT_DELIVERIES = 3
_DEFAULT_WINDOW = 20
_LONGEST_TTL = "PT1H"
# The least time to live that the schema names in words; whether it is kept to is not known.
_SHORT_TTL = "PT5M"


def _otherwise(option: str) -> str:
    return f" (a queue given with --queue and {option} is not bound to that)"


def _read_ttl(reading: Reading, node: Node, path: str) -> int | None:
    found: int | None = _TTL(reading, node, path)
    if found is not None and found < (seconds(_SHORT_TTL) or 0):
        reading.note(
            node,
            path,
            f"{node.value!r} is taken, but the emulator's schema says {_SHORT_TTL} at least",
        )
    return found


_TTL = duration("PT1S", _LONGEST_TTL, "")
_NO_FORWARDING = refuse("forwarding is not built here; leave it empty", unless="")
_KEPT: Mapping[str, Read] = {
    "DeadLetteringOnMessageExpiration": read_flag,
    "DefaultMessageTimeToLive": _read_ttl,
    "ForwardDeadLetteredMessagesTo": _NO_FORWARDING,
    "ForwardTo": _NO_FORWARDING,
    "LockDuration": duration("PT5S", "PT5M", _otherwise("--lock-duration")),
    "MaxDeliveryCount": whole_number(1, 10, _otherwise("--max-delivery-count")),
    "RequiresSession": refuse(
        "sessions are not built here; set it to false",
        unless=False,
    ),
}
_TAKEN: Mapping[str, Read] = {
    "DefaultMessageTimeToLive": _read_ttl,
    "DuplicateDetectionHistoryTimeWindow": duration(
        "PT5S", "PT5M", _otherwise("--duplicate-window")
    ),
    "RequiresDuplicateDetection": read_flag,
}


def queue_properties(reading: Reading, node: Node, path: str) -> EntityConfig:
    """The settings of a queue."""
    return _settings(read_object(reading, node, path, {**_KEPT, **_TAKEN}))


def subscription_properties(reading: Reading, node: Node, path: str) -> EntityConfig:
    """The settings of a subscription."""
    return _settings(read_object(reading, node, path, _KEPT))


def topic_properties(reading: Reading, node: Node, path: str) -> EntityConfig:
    """The settings of a topic."""
    return _settings(read_object(reading, node, path, _TAKEN))


def _settings(found: Mapping[str, Any]) -> EntityConfig:
    given = {key: value for key, value in found.items() if value is not None}
    defaults = EntityConfig()
    window = given.get("DuplicateDetectionHistoryTimeWindow", _DEFAULT_WINDOW)
    return EntityConfig(
        lock_duration=given.get("LockDuration", defaults.lock_duration),
        max_delivery_count=given.get("MaxDeliveryCount", _DEFAULT_DELIVERIES),
        duplicate_window=window if given.get("RequiresDuplicateDetection") else None,
        default_ttl=given.get("DefaultMessageTimeToLive", seconds(_LONGEST_TTL)),
        dead_letter_on_expiry=given.get("DeadLetteringOnMessageExpiration", False),
    )


#: What an entity has whose properties are left out.
DEFAULTS = _settings({})
