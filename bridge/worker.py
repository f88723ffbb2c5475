"""The reference worker: receives in batches, starts and completes in bulk, obeys the verdicts.

    worker = Worker(database_url, connection_string, handler)
    asyncio.run(worker.run())

It shows what a worker in any language does: ask with `start_tasks`, do what says `run`, report
with `complete_tasks`, and only then complete the messages. Killed at any point it loses nothing: a
message that was not completed is delivered again, and an attempt that nobody finishes ends with
its lease.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID, uuid4

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import AutoLockRenewer, ServiceBusClient, ServiceBusReceiver
from azure.servicebus.exceptions import ServiceBusError

from bridge.contracts.base import reasons
from bridge.contracts.tasks import TaskQueueMessage
from bridge.errors import DatabaseUnavailable
from bridge.exact_json import Json
from bridge.logs import EventLog
from bridge.settling import dead_letter, settle
from bridge.task_calls import FIRST_DELAY, LONGEST_DELAY, Asked, TaskCalls

log = EventLog("stagebus.worker")

#: Seconds for which the SDK renews the lock of a message that is being worked on.
MAX_LOCK_RENEWAL = 24 * 3600.0

Parameters = dict[str, Json]


class StartedTask(NamedTuple):
    """A task that this worker may run, with its parameters as the database has them."""

    task_id: str
    task_type: str
    parameters: Parameters


Messages = dict[Asked, list[ServiceBusReceivedMessage]]

#: Does the work of some tasks and returns a result for each, in order; None for no result.
Handler = Callable[[Sequence[StartedTask]], Sequence[Json]]


@dataclass(frozen=True)
class Totals:
    """What a worker has done since it began."""

    completed: int = 0
    """Tasks that this worker finished."""
    passed_over: int = 0
    """Messages whose task was not to be run: taken, done, cancelled, stale or ghost."""
    refused: int = 0
    """Tasks whose result the database would not keep; their messages were dead-lettered."""


class Worker:
    """One receiver on one queue; run several processes for more cores."""

    def __init__(
        self,
        database_url: str,
        connection_string: str,
        handler: Handler,
        *,
        queue: str = "tasks",
        batch_size: int = 200,
        name: str | None = None,
    ) -> None:
        self._connection_string = connection_string
        self._handler = handler
        self._queue = queue
        self._batch_size = batch_size
        self._name = name
        self._stopping = asyncio.Event()
        self._calls = TaskCalls(database_url, self._stopping)
        self.totals = Totals()

    def stop(self) -> None:
        """Lets `run` return after the messages that it holds are done."""
        self._stopping.set()

    async def run(self) -> None:
        """Works until stopped; waits for a database or a broker that is away."""
        delay = FIRST_DELAY
        try:
            while not self._stopping.is_set():
                try:
                    async with (
                        ServiceBusClient.from_connection_string(self._connection_string) as client,
                        AutoLockRenewer(max_lock_renewal_duration=MAX_LOCK_RENEWAL) as renewer,
                        client.get_queue_receiver(
                            self._queue, auto_lock_renewer=renewer
                        ) as receiver,
                    ):
                        delay = FIRST_DELAY
                        while not self._stopping.is_set():
                            await self.run_once(receiver)
                except DatabaseUnavailable as error:
                    # Only when told to stop: then the messages are left to another worker.
                    log.warning("worker.left_messages", error=str(error))
                except (ServiceBusError, OSError) as error:
                    log.warning("worker.waiting", error=str(error).strip(), retry_in=delay)
                    await asyncio.sleep(delay)
                    delay = min(LONGEST_DELAY, delay * 2)
        finally:
            await self.close()

    async def close(self) -> None:
        await self._calls.close()

    async def run_once(self, receiver: ServiceBusReceiver) -> int:
        """Receives once and sees all of it through; returns how many messages."""
        try:
            received = await receiver.receive_messages(self._batch_size, max_wait_time=1)
        except ValueError as error:
            # The SDK has closed the receiver after an error of a message before.
            raise ConnectionError(str(error)) from error
        held = await self._read(receiver, received)
        token = uuid4()
        while held:
            held, pause = await self._work(receiver, held, token)
            if held and await self._stops_within(pause):
                # They belong to a provisional stage; another worker asks again.
                await settle(receiver.abandon_message, _all(held))
                break
        return len(received)

    async def _read(
        self, receiver: ServiceBusReceiver, received: Sequence[ServiceBusReceivedMessage]
    ) -> Messages:
        """The messages by what they ask for; those that are not ours to read are dead-lettered."""
        readable: Messages = {}
        for message in received:
            try:
                task = TaskQueueMessage.model_validate_json(b"".join(message.body))
            except (ValueError, TypeError) as error:
                # TypeError: the body is no AMQP data section.
                why = reasons(error)
                await dead_letter(receiver, [message], "not a TaskQueueMessage", why)
            else:
                asked = Asked(task.task_id, task.attempt, task.nonce, task.task_type)
                readable.setdefault(asked, []).append(message)
        return readable

    async def _work(
        self, receiver: ServiceBusReceiver, held: Messages, token: UUID
    ) -> tuple[Messages, float]:
        """Sees through what is to be seen through now.

        Returns the messages whose stage is provisional, and the seconds to wait with them.
        """
        rows = await self._calls.start_tasks(list(held), token, self._name)
        started: dict[Asked, StartedTask] = {}
        waiting: Messages = {}
        pause = timedelta()
        # The rows come in the order of the question.
        for asked, row in zip(held, rows, strict=True):
            if row.verdict == "run":
                started[asked] = StartedTask(row.task_id, asked.task_type, row.parameters)
            elif row.verdict == "wait":
                waiting[asked] = held[asked]
                pause = max(pause, row.ask_again_after)
        completed, refused = 0, dict[str, str]()
        if started:
            results = await asyncio.to_thread(self._handler, list(started.values()))
            completed, refused = await self._calls.complete_tasks(
                [asked.task_id for asked in started], token, results
            )
            for task_id, why in refused.items():
                # Nobody finishes this attempt: it ends with its lease.
                log.error("task.result_refused", task_id=task_id, error=why)
        self.totals = Totals(
            self.totals.completed + completed,
            self.totals.passed_over + len(held) - len(waiting) - completed - len(refused),
            self.totals.refused + len(refused),
        )
        dead = {asked: held[asked] for asked in started if asked.task_id in refused}
        for asked, messages in dead.items():
            await dead_letter(receiver, messages, "result refused", refused[asked.task_id])
        seen_through = {
            asked: held[asked] for asked in held if asked not in waiting and asked not in dead
        }
        await settle(receiver.complete_message, _all(seen_through))
        return waiting, pause.total_seconds()

    async def _stops_within(self, seconds: float) -> bool:
        """True as soon as the worker is told to stop; False after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                return await self._stopping.wait()
        except TimeoutError:
            return False


def _all(messages: Messages) -> list[ServiceBusReceivedMessage]:
    return [message for repeats in messages.values() for message in repeats]
