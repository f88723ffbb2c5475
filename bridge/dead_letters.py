"""Dead letters come home: from the dead-letter queue of each queue in use into the database."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence

from azure.servicebus import ServiceBusReceivedMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusReceiver
from azure.servicebus.amqp import AmqpMessageBodyType
from azure.servicebus.exceptions import ServiceBusError

from bridge.batch import DeadLetter
from bridge.errors import DatabaseUnavailable, UnsafeDatabase
from bridge.failpoints import failpoint
from bridge.house_keeping import HouseKeeping
from bridge.links import Part, close, cut_link, new_client
from bridge.logs import EventLog
from bridge.orders import DeadLetterQueue
from bridge.publisher import ENTITY_REFUSALS
from bridge.settings import Settings
from bridge.text import storable

log = EventLog("stagebus.dead_letters")

#: Seconds until the first look for queues in use, since publishing comes first, and between two.
FIRST_LOOK = 1.0
LOOK_EVERY = 10.0

#: Seconds for which a receiver waits for the next dead letter. It comes at once: nothing is polled.
WAIT = 60.0

#: Seconds until a reader that has not ended is told again; longer than it takes to close.
END_AGAIN = 2.0

#: Dead letters that are recorded in one transaction.
PAGE = 100

#: Seconds within which the broker answers when a message is settled.
SETTLE_DEADLINE = 20.0

#: Seconds until the next try after one that failed, doubled each time; the last where the broker
#: refuses us.
FIRST_DELAY = 1.0
LONGEST_DELAY = 300.0

#: The same while the database is away, which keeps nobody from the queue.
LONGEST_DATABASE_DELAY = 5.0


async def run(settings: Settings, database: HouseKeeping) -> None:
    """Reads them all, for ever; a queue that was in use once is read from then on."""
    readers: dict[str, asyncio.Task[None]] = {}
    try:
        await asyncio.sleep(FIRST_LOOK)
        while True:
            try:
                queues = await database.dead_letter_queues()
            except DatabaseUnavailable as error:
                log.debug("database.unavailable", error=str(error))
            except UnsafeDatabase:
                raise
            except Exception:  # noqa: BLE001
                # Publishing must not end because this cannot be done.
                log.error("dead_letters.crashed", with_traceback=True)
                await asyncio.sleep(LONGEST_DELAY)
            else:
                for queue in queues:
                    if queue.entity not in readers:
                        reader = Reader(settings, queue, database)
                        readers[queue.entity] = asyncio.create_task(reader.run())
            await asyncio.sleep(LOOK_EVERY)
    finally:
        await _end(readers.values())
        await database.close()


async def _end(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancels them until they have ended.

    Once is not enough: asyncio.wait_for, with which the SDK reads its socket, forgets in Python
    3.11 that it was cancelled when something has come at the same moment.
    """
    going = set(tasks)
    while going:
        for task in going:
            task.cancel()
        _, going = await asyncio.wait(going, timeout=END_AGAIN)


class Reader:
    """Of one queue. Any number may read it: each message is locked for one of them.

    What is received and not settled comes again when its lock ends, to whichever bridge then asks.
    """

    def __init__(self, settings: Settings, queue: DeadLetterQueue, database: HouseKeeping) -> None:
        self._settings = settings
        self._queue = queue
        self._database = database
        self._receiver: ServiceBusReceiver | None = None
        self._parts: list[Part] = []
        self._last_error: type[Exception] | None = None

    async def run(self) -> None:
        """Reads for ever; whatever keeps it from that is logged once, and tried again rarely."""
        delay = FIRST_DELAY
        try:
            while True:
                try:
                    await self.run_once()
                    delay, self._last_error = FIRST_DELAY, None
                    continue
                except ENTITY_REFUSALS as error:
                    delay = LONGEST_DELAY
                    self._tell("dead_letters.refused", error, delay)
                except (ServiceBusError, OSError, ValueError) as error:
                    # OSError: TimeoutError and ConnectionError, too. ValueError: the SDK has closed
                    # the receiver.
                    self._tell("dead_letters.waiting", error, delay)
                except Exception as error:  # noqa: BLE001
                    self._tell("dead_letters.crashed", error, delay)
                await self.close()
                await asyncio.sleep(delay)
                delay = min(LONGEST_DELAY, delay * 2)
        finally:
            await self.close()

    async def run_once(self) -> int:
        """Waits for dead letters and sees them through; returns how many there were."""
        receiver = self._receiver or self._open()
        messages = await receiver.receive_messages(PAGE, max_wait_time=WAIT)
        if not messages:
            return 0
        outcomes = await self._record([_letter(message) for message in messages])
        for message, outcome in zip(messages, outcomes, strict=True):
            async with asyncio.timeout(SETTLE_DEADLINE):
                if outcome == "not_ours":
                    # Nobody but its sender knows what it is good for, and here is no copy of it. It
                    # stays, for whoever asks for its number, and is in nobody's way.
                    await receiver.defer_message(message)
                elif outcome != "wait":
                    await self.complete_dead_letter(message)
        log.info("dead_letters.recorded", queue=self._queue.entity, **Counter(outcomes))
        return len(messages)

    @failpoint
    async def complete_dead_letter(self, message: ServiceBusReceivedMessage) -> None:
        """Takes it off the broker: the database has it."""
        assert self._receiver is not None, "it was received"
        await self._receiver.complete_message(message)

    async def cut(self, *, answered: bool) -> None:
        """For failpoints: the link is dead; an answer that has come is not lost."""
        if self._receiver is not None:
            cut_link(self._receiver)

    async def close(self) -> None:
        """Closes the link and all it needs; the next `run_once` begins anew."""
        parts, self._parts, self._receiver = self._parts, [], None
        for part in parts:
            await close(part)

    def _open(self) -> ServiceBusReceiver:
        # A client of its own: to close the publisher's would close its links.
        client, credential = new_client(self._settings)
        self._receiver = client.get_queue_receiver(
            self._queue.entity, sub_queue=ServiceBusSubQueue.DEAD_LETTER
        )
        self._parts = [self._receiver, client, *([] if credential is None else [credential])]
        return self._receiver

    async def _record(self, letters: Sequence[DeadLetter]) -> list[str]:
        """Waits for a database that is away: the locks last a while, and it may be told again."""
        delay = FIRST_DELAY
        while True:
            try:
                return await self._database.record_dead_letters(self._queue.destination, letters)
            except DatabaseUnavailable as error:
                log.debug("database.unavailable", error=str(error))
            await asyncio.sleep(delay)
            delay = min(LONGEST_DATABASE_DELAY, delay * 2)

    def _tell(self, event: str, error: Exception, delay: float) -> None:
        """Logs it, but not the same again: of each kind once, as each text has an id of its own."""
        text = f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]
        if type(error) is not self._last_error:
            log.warning(event, queue=self._queue.entity, error=text, retry_in=delay)
            self._last_error = type(error)


def _letter(message: ServiceBusReceivedMessage) -> DeadLetter:
    told = message.application_properties or {}
    return DeadLetter(
        sequence_number=message.sequence_number or 0,
        message_id=(_text(message.message_id) or "")[:256],
        # The SDK's own properties raise where these are not UTF-8.
        reason=_text(told.get(b"DeadLetterReason")),
        description=_text(told.get(b"DeadLetterErrorDescription")),
        delivery_count=message.delivery_count,
        enqueued_at=message.enqueued_time_utc,
        body_bytes=_size(message),
    )


def _size(message: ServiceBusReceivedMessage) -> int | None:
    if message.body_type is not AmqpMessageBodyType.DATA:
        return None
    return sum(len(section) for section in message.body)


def _text(value: object) -> str | None:
    """Others may have put anything there."""
    return None if value is None else storable(value)
