"""How an attach or a transfer of a client is answered, and a link detached, in proton's terms.

What happens once per message happens in the modules of the three kinds of links, by proton's C
functions on bare pointers: `arriving`, `leaving` and `replies`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cproton as pn
from proton import Condition, Delivery, Link, Terminus, symbol

from bridge.local.endpoint.engine import Pointer
from bridge.local.endpoint.outcomes import Refused

if TYPE_CHECKING:
    from proton._data import PythonAMQPData


def refusal(refused: Refused) -> Condition:
    """`refused` as AMQP has it. The SDK hangs without an info map that is not empty."""
    description, given = refused.traced()
    info: dict[PythonAMQPData, PythonAMQPData] | None = None
    if given is not None:
        info = {symbol(name): value for name, value in given.items()}
    return Condition(refused.condition, description or None, info)


def accept(link: Link) -> None:
    """Answer that `link` is attached."""
    link.source.copy(link.remote_source)
    link.target.copy(link.remote_target)
    link.open()


def refuse(link: Link, refused: Refused) -> None:
    """Answer that `link` is not attached.

    This is an attach without the terminus on our side, followed by a detach with the error: AMQP
    1.0, part 2, 2.6.3. Without that, the SDK would take a sender for attached.
    """
    ours = link.target if link.is_receiver else link.source
    ours.type = Terminus.UNSPECIFIED
    link.open()
    link.condition = refusal(refused)
    link.close()


def detach_now(link: Pointer, refused: Refused) -> None:
    """Detach a link that is attached, with an error."""
    wrapped = Link.wrap(link)  # type: ignore[no-untyped-call]
    wrapped.condition = refusal(refused)
    wrapped.close()


def reject(delivery: Pointer, refused: Refused) -> None:
    """Settle `delivery` as rejected, with everything the SDK needs to make an exception of it."""
    wrapped = Delivery(delivery)  # type: ignore[no-untyped-call]
    wrapped.local.condition = refusal(refused)
    wrapped.update(Delivery.REJECTED)
    wrapped.settle()


def settle(delivery: Pointer, state: int) -> None:
    """Settle `delivery` with an outcome that says nothing more."""
    pn.pn_delivery_update(delivery, state)
    pn.pn_delivery_settle(delivery)
