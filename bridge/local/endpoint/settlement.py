"""What a receiver decides about a message that it has locked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from proton import Data, ProtonException

from bridge.local.endpoint.outcomes import ARGUMENT_ERROR, Refused

REASON = "DeadLetterReason"
DESCRIPTION = "DeadLetterErrorDescription"


class Decision(Enum):
    """What becomes of the message."""

    COMPLETE = "complete"
    RELEASE = "release"
    ABANDON = "abandon"
    DEFER = "defer"
    DEAD_LETTER = "dead_letter"


@dataclass(frozen=True, slots=True)
class Settlement:
    """A decision, and the application properties that the message gets with it, encoded."""

    decision: Decision
    properties: Mapping[str, bytes] = field(default_factory=dict)


COMPLETE = Settlement(Decision.COMPLETE)
RELEASE = Settlement(Decision.RELEASE)


def settlement(decision: Decision, properties: object) -> Settlement:
    """A decision with the properties a client gave, if it gave any. Raises Refused."""
    if not isinstance(properties, Mapping):
        return Settlement(decision)
    given = {str(name): value for name, value in properties.items()}
    for name in (REASON, DESCRIPTION):
        if given.get(name, "") is None:
            del given[name]
    return Settlement(decision, encoded(given))


def encoded(properties: Mapping[str, object]) -> dict[str, bytes]:
    """Each value as AMQP has it.

    Raises Refused for what cannot be an application property: lists, maps, arrays and described
    values (AMQP 1.0, part 3, 3.2.5).
    """
    return {name: _encoded(name, value) for name, value in properties.items()}


def _encoded(name: str, value: object) -> bytes:
    data = Data()
    try:
        data.put_object(value)
        encoded = bytes(data.encode())
    except (ProtonException, TypeError, ValueError, OverflowError) as error:
        raise _unusable(name) from error
    if encoded[0] >> 4 >= 0xC or encoded[0] in (0x00, 0x45):
        raise _unusable(name)
    return encoded


def _unusable(name: str) -> Refused:
    return Refused(
        ARGUMENT_ERROR, f"The property '{name}' has a value that no application property can have."
    )
