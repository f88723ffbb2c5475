"""How a worker is done with messages: completed, given back or dead-lettered, within a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusReceiver
from azure.servicebus.exceptions import ServiceBusError

from bridge.logs import EventLog

log = EventLog("stagebus.worker")

#: Seconds within which the broker answers when a message is settled; then the link is given up.
SETTLE_DEADLINE = 20.0


async def dead_letter(
    receiver: ServiceBusReceiver,
    messages: Sequence[ServiceBusReceivedMessage],
    reason: str,
    description: str,
) -> None:
    """Puts messages where an operator sees them; nobody is sent them again."""
    log.error("messages.dead_lettered", messages=len(messages), reason=reason, error=description)
    into_the_dead_letters = partial(
        receiver.dead_letter_message, reason=reason, error_description=description[:1000]
    )
    await settle(into_the_dead_letters, messages)


async def settle(
    how: Callable[[ServiceBusReceivedMessage], Awaitable[None]],
    messages: Sequence[ServiceBusReceivedMessage],
) -> None:
    """Settles one after the other; raises ConnectionError at the first that cannot be.

    The tasks are settled in the database, so those messages only come again. After a failure, a
    lock that was lost included, the SDK has closed the receiver: the others could only fail too.
    Without a deadline of ours it would wait for ever for a broker that does not answer.
    """
    for number, message in enumerate(messages):
        try:
            async with asyncio.timeout(SETTLE_DEADLINE):
                await how(message)
        except (ServiceBusError, ValueError, TimeoutError) as error:
            reason = " ".join(str(error).split()) or f"no answer within {SETTLE_DEADLINE:g} seconds"
            log.warning("messages.not_settled", messages=len(messages) - number, error=reason)
            raise ConnectionError(reason) from error
