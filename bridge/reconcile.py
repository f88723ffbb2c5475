"""What a queue has, by peeking: nothing is locked, and all of it stays there."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field

from azure.servicebus import ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusReceiver
from azure.servicebus.exceptions import ServiceBusError

from bridge.errors import BrokerUnavailable
from bridge.links import REQUESTS_OF_A_LINK, close, forget_management_links, new_client
from bridge.settings import Settings

#: Messages that are asked for at a time. The service answers with as many as it likes to.
PAGE = 250

#: Seconds within which the broker answers.
DEADLINE = 20.0


@dataclass
class Peeked:
    """The ids of the messages of a queue, whatever their state; locked ones are among them."""

    message_ids: list[str] = field(default_factory=list)
    dead_letter_ids: list[str] = field(default_factory=list)
    whole: bool = True
    """False: there are more."""


async def peek(settings: Settings, queue: str, at_most: int) -> Peeked:
    """The ids of up to `at_most` messages of the queue and its dead-letter queue.

    The queue first: what is dead-lettered meanwhile is seen twice, but not missed. Raises
    BrokerUnavailable.
    """
    peeked = Peeked()
    client, credential = new_client(settings)
    living = client.get_queue_receiver(queue)
    dead = client.get_queue_receiver(queue, sub_queue=ServiceBusSubQueue.DEAD_LETTER)
    try:
        peeked.whole = await _read(living, peeked.message_ids, at_most)
        left = at_most - len(peeked.message_ids)
        peeked.whole &= await _read(dead, peeked.dead_letter_ids, left)
    except (ServiceBusError, OSError) as error:
        text = " ".join(str(error).split()) or "no answer"
        raise BrokerUnavailable(f"the queue {queue!r} cannot be looked at: {text}") from error
    finally:
        await asyncio.gather(close(living), close(dead))
        for part in (client, credential):
            if part is not None:
                await close(part)
    return peeked


async def _read(receiver: ServiceBusReceiver, ids: list[str], at_most: int) -> bool:
    """Appends the ids, in the order of their numbers; False when there are more than that."""
    following = 0
    for requests in itertools.count(1):
        async with asyncio.timeout(DEADLINE):
            if requests % REQUESTS_OF_A_LINK == 0:
                await forget_management_links(receiver)
            page = await receiver.peek_messages(PAGE, sequence_number=following)
        for message in page:
            if len(ids) == at_most:
                return False
            ids.append(_text(message.message_id))
            following = (message.sequence_number or 0) + 1
        if not page:
            break
    return True


def _text(message_id: object) -> str:
    """As PostgreSQL takes it: others may have any id, or none."""
    return "" if message_id is None else str(message_id).replace("\0", "\N{REPLACEMENT CHARACTER}")
