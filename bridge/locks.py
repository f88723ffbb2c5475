"""The locks of a receiver's messages: renewed one after the other, and never beside another call.

The SDK's AutoLockRenewer has a task for each message, on the receiver's own connection; beside a
receive they end that connection now and then, since the SDK is not safe for several coroutines.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusReceiver
from azure.servicebus.exceptions import ServiceBusError

from bridge.links import REQUESTS_OF_A_LINK, forget_management_links
from bridge.logs import EventLog
from bridge.settling import SETTLE_DEADLINE

log = EventLog("stagebus.worker")

#: The part of a lock after which it is renewed, and seconds between two looks.
RENEWAL = 0.4
LOOK = 0.2

#: Seconds: a broker's clock may be ahead of ours.
SHORTEST_PERIOD = 0.5


@dataclass
class _Held:
    message: ServiceBusReceivedMessage
    period: float
    due: float


class Link:
    """A receiver, and what it holds."""

    def __init__(self, receiver: ServiceBusReceiver) -> None:
        self.receiver = receiver
        self.using = asyncio.Lock()
        """Taken by whoever calls the receiver."""
        self._held: dict[int, _Held] = {}
        self._renewals = 0
        self._ended = False

    def hold(self, messages: Sequence[ServiceBusReceivedMessage]) -> None:
        """From here on their locks are renewed."""
        now, utc_now = time.monotonic(), datetime.now(UTC)
        for message in messages:
            until = message.locked_until_utc
            lasts = (until - utc_now).total_seconds() if until is not None else 0.0
            period = max(SHORTEST_PERIOD, lasts * RENEWAL)
            self._held[id(message)] = _Held(message, period, now + period)

    def let_go(self, messages: Sequence[ServiceBusReceivedMessage]) -> None:
        """They are settled."""
        for message in messages:
            self._held.pop(id(message), None)

    async def renew_once(self) -> None:
        """Renews what is due; a lock that cannot be renewed is said and left.

        A broker that does not answer is asked no more: whoever receives next connects again.
        """
        if not self._due():
            return
        async with self.using:
            # Some may have been settled while this waited.
            for held in self._due():
                if self._ended:
                    return
                try:
                    async with asyncio.timeout(SETTLE_DEADLINE):
                        if self._renewals >= REQUESTS_OF_A_LINK:
                            await forget_management_links(self.receiver)
                            self._renewals = 0
                        self._renewals += 1
                        await self.receiver.renew_message_lock(held.message)
                    held.due = time.monotonic() + held.period
                except TimeoutError:
                    # Each further one would take as long, and nobody receives meanwhile.
                    why = f"no answer within {SETTLE_DEADLINE:g} seconds"
                    log.warning("message.lock_lost", error=why)
                    self.end()
                except (ServiceBusError, ValueError, OSError) as error:
                    # Whoever settles it, or receives next, finds out and connects again.
                    log.warning("message.lock_lost", error=" ".join(str(error).split()))
                    self.let_go([held.message])

    def check(self) -> None:
        """Raises ConnectionError once the broker has left a renewal unanswered."""
        if self._ended:
            raise ConnectionError("the broker did not answer when a lock was renewed")

    def _due(self) -> list[_Held]:
        now = time.monotonic()
        return [held for held in self._held.values() if held.due <= now]

    async def run(self) -> None:
        """Until `end`."""
        while not self._ended:
            await self.renew_once()
            await asyncio.sleep(LOOK)

    def end(self) -> None:
        self._ended = True
        self._held.clear()


@asynccontextmanager
async def linked(receiver: ServiceBusReceiver) -> AsyncIterator[Link]:
    """The receiver with its locks renewed as long as the block lasts."""
    link = Link(receiver)
    renewing = asyncio.create_task(link.run())
    try:
        yield link
    finally:
        # By a flag, too: a waiting SDK may lose the cancellation.
        link.end()
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)
