"""What the outcome of a delivery says: the settlement that a client's disposition asks for."""

from __future__ import annotations

import cproton as pn
from proton import Delivery, Disposition

from bridge.local.endpoint.engine import Pointer
from bridge.local.endpoint.outcomes import DECODE_ERROR, Refused
from bridge.local.endpoint.settlement import (
    COMPLETE,
    RELEASE,
    Decision,
    Settlement,
    settlement,
)


def read_settlement(state: int, delivery: Pointer) -> Settlement:
    """The settlement that the outcome `state` of a delivery asks for. Raises Refused.

    Properties are in the info map of the error of `rejected`, the dead letter's reason and
    description among them, and in the message annotations of `modified`.
    """
    if state == pn.PN_ACCEPTED:
        return COMPLETE
    if state == pn.PN_RELEASED:
        return RELEASE
    try:
        return _with_properties(state, Delivery(delivery).remote)  # type: ignore[no-untyped-call]
    except (TypeError, ValueError) as error:  # what proton makes of wrong bytes
        raise Refused(DECODE_ERROR, f"The outcome cannot be read: {error}.") from error


def _with_properties(state: int, remote: Disposition) -> Settlement:
    if state == pn.PN_REJECTED:
        condition = remote.condition
        return settlement(Decision.DEAD_LETTER, None if condition is None else condition.info)
    if remote.undeliverable:
        return settlement(Decision.DEFER, remote.annotations)
    if remote.failed:
        return settlement(Decision.ABANDON, remote.annotations)
    return settlement(Decision.RELEASE, remote.annotations)
