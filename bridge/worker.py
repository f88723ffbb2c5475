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
from typing import LiteralString, NamedTuple
from uuid import UUID, uuid4

import psycopg
from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import AutoLockRenewer, ServiceBusClient, ServiceBusReceiver
from azure.servicebus.exceptions import ServiceBusError
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb
from pydantic import JsonValue, ValidationError

from bridge.contracts import TaskQueueMessage
from bridge.database import connect
from bridge.errors import DatabaseUnavailable
from bridge.logs import EventLog

log = EventLog("stagebus.worker")

#: Seconds for which the SDK renews the lock of a message that is being worked on.
MAX_LOCK_RENEWAL = 24 * 3600.0

#: Seconds between two tries to reach a database or a broker that is away.
FIRST_DELAY = 0.1
LONGEST_DELAY = 5.0

Parameters = dict[str, JsonValue]


class StartedTask(NamedTuple):
    """A task that this worker may run: its id and its parameters, as the database has them."""

    task_id: str
    task_type: str
    parameters: Parameters


#: Does the work of some tasks and returns a result for each, in order; None for no result.
Handler = Callable[[Sequence[StartedTask]], Sequence[JsonValue]]


@dataclass(frozen=True)
class Totals:
    """What a worker has done since it began."""

    completed: int = 0
    """Tasks that this worker finished."""
    passed_over: int = 0
    """Messages whose task was not to be run: taken, done, cancelled, stale or ghost."""


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
        self._database_url = database_url
        self._connection_string = connection_string
        self._handler = handler
        self._queue = queue
        self._batch_size = batch_size
        self._name = name
        self._stopping = asyncio.Event()
        self._connection: AsyncConnection[TupleRow] | None = None
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
                except (ServiceBusError, OSError) as error:
                    log.warning("worker.waiting", error=str(error).strip(), retry_in=delay)
                    await asyncio.sleep(delay)
                    delay = min(LONGEST_DELAY, delay * 2)
        finally:
            await self.close()

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def run_once(self, receiver: ServiceBusReceiver) -> int:
        """Receives once and sees all of it through; returns how many messages."""
        received = await receiver.receive_messages(self._batch_size, max_wait_time=1)
        if not received:
            return 0
        tasks: list[TaskQueueMessage] = []
        readable: list[ServiceBusReceivedMessage] = []
        for message in received:
            try:
                tasks.append(TaskQueueMessage.model_validate_json(b"".join(message.body)))
                readable.append(message)
            except ValidationError:
                await receiver.dead_letter_message(
                    message, reason="not a TaskQueueMessage", error_description="see the schema"
                )
        token = uuid4()
        started = await self._start(tasks, token)
        completed = 0
        if started:
            results = await asyncio.to_thread(self._handler, started)
            completed = await self._complete(started, token, results)
        self.totals = Totals(
            self.totals.completed + completed,
            self.totals.passed_over + len(tasks) - completed,
        )
        for message in readable:
            await _complete_message(receiver, message)
        return len(received)

    async def _start(self, tasks: list[TaskQueueMessage], token: UUID) -> list[StartedTask]:
        """The tasks whose verdict is `run`; asks again for those that must `wait`."""
        started: list[StartedTask] = []
        asking = {task.task_id: task for task in tasks}
        while asking:
            rows = await self._call(
                "select task_id, verdict, parameters, ask_again_after"
                " from stagebus.start_tasks(%s, %s, %s, %s, %s)",
                list(asking),
                [task.attempt for task in asking.values()],
                [task.nonce for task in asking.values()],
                token,
                self._name,
            )
            waiting: dict[str, TaskQueueMessage] = {}
            pause = timedelta()
            for task_id, verdict, parameters, ask_again_after in rows:
                if verdict == "run":
                    started.append(StartedTask(task_id, asking[task_id].task_type, parameters))
                elif verdict == "wait":
                    waiting[task_id] = asking[task_id]
                    pause = max(pause, ask_again_after)
            asking = waiting
            if asking:
                await asyncio.sleep(pause.total_seconds())
        return started

    async def _complete(
        self, started: list[StartedTask], token: UUID, results: Sequence[JsonValue]
    ) -> int:
        rows = await self._call(
            "select task_id, verdict from stagebus.complete_tasks(%s, %s, %s::jsonb[])",
            [task.task_id for task in started],
            token,
            [None if result is None else Jsonb(result) for result in results],
        )
        return sum(verdict == "completed" for _, verdict in rows)

    async def _call(self, query: LiteralString, *arguments: object) -> list[TupleRow]:
        """Calls until the database has answered: with the same token every call may be repeated."""
        delay = FIRST_DELAY
        while True:
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = await connect(self._database_url, "worker")
                cursor = await self._connection.execute(query, arguments)
                return await cursor.fetchall()
            except (DatabaseUnavailable, psycopg.OperationalError) as error:
                log.warning("database.unavailable", error=str(error).strip(), retry_in=delay)
                await self.close()
            await asyncio.sleep(delay)
            delay = min(LONGEST_DELAY, delay * 2)


async def _complete_message(
    receiver: ServiceBusReceiver, message: ServiceBusReceivedMessage
) -> None:
    """The task is settled in the database; a lock that was lost only brings the message again."""
    try:
        await receiver.complete_message(message)
    except ServiceBusError as error:
        log.warning("message.not_completed", error=type(error).__name__)
