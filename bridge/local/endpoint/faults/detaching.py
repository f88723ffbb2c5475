"""Which of the links that are attached a fault befalls that waits for no operation."""

from __future__ import annotations

from collections.abc import Callable

from bridge.local.endpoint.arriving import ArrivingLink
from bridge.local.endpoint.faults.fault import Fault
from bridge.local.endpoint.links import LinkEnd


def befallen(fault: Fault) -> Callable[[LinkEnd], bool]:
    """Whether a link is befallen: senders, receivers or both, of one entity or all."""
    entity = None if fault.entity is None else fault.entity.lower()

    def is_befallen(end: LinkEnd) -> bool:
        if end.entity is None or entity not in (None, end.entity.lower()):
            return False
        if fault.on == "send":
            return isinstance(end, ArrivingLink)
        return fault.on != "deliver" or not isinstance(end, ArrivingLink)

    return is_befallen
