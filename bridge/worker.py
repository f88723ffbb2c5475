"""The reference worker: receives in batches, starts and completes in bulk, obeys the verdicts.

    worker = Worker(database_url, connection_string, handler)
    asyncio.run(worker.run())

It shows what a worker in any language does: ask with `start_tasks`, do what says `run`, renew the
leases of long work with `heartbeat_tasks`, report with `complete_tasks` or `fail_tasks`, and only
then complete the messages. Messages whose stage is provisional (`wait`) are kept, their locks
renewed, and asked about again while others are worked on. Killed at any point it loses nothing: a
message that was not completed is delivered again, and an attempt that nobody finishes ends with its
lease.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple, TypeAlias
from uuid import UUID, uuid4

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import ServiceBusError

from bridge.contracts.base import reasons
from bridge.contracts.tasks import TaskQueueMessage
from bridge.errors import DatabaseUnavailable
from bridge.exact_json import Json
from bridge.kept import KeptMessages, Messages
from bridge.locks import Link, linked
from bridge.logs import EventLog
from bridge.settling import dead_letter, settle
from bridge.task_calls import FIRST_DELAY, LONGEST_DELAY, Asked, TaskCalls, TaskFailed

log = EventLog("stagebus.worker")

Parameters = dict[str, Json]


class StartedTask(NamedTuple):
    """A task that this worker may run, with its parameters as the database has them."""

    task_id: str
    task_type: str
    parameters: Parameters


Outcome: TypeAlias = "Json | TaskFailed"

#: Does the work of some tasks and returns for each, in order, a result, None for no result, or a
#: TaskFailed. When it raises, all of them have failed and are tried again.
Handler = Callable[[Sequence[StartedTask]], Sequence[Outcome]]

#: The part of a lease after which it is renewed.
HEARTBEAT = 1 / 3
SHORTEST_HEARTBEAT = 0.2

#: Seconds for which a receiver waits for messages.
RECEIVE_WAIT = 1.0
SHORTEST_WAIT = 0.05

#: Messages of provisional stages that a worker keeps, in times of its batch size. With more it
#: receives nothing until they are decided: to abandon them would use their deliveries up, and bring
#: them to the dead letters; and each costs a renewal every few seconds.
KEPT_BATCHES = 5


@dataclass(frozen=True)
class Totals:
    """What a worker has done since it began."""

    completed: int = 0
    """Tasks that this worker finished."""
    passed_over: int = 0
    """Messages whose task was not to be run: taken, done, cancelled, stale or ghost."""
    failed: int = 0
    """Attempts that failed: the handler said so, it raised, or its result could not be kept."""


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
        self._kept = KeptMessages(KEPT_BATCHES * batch_size)
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
                        client.get_queue_receiver(self._queue) as receiver,
                        linked(receiver) as link,
                    ):
                        delay = FIRST_DELAY
                        # Those of the receiver before are not ours any more.
                        self._kept.take()
                        while not self._stopping.is_set():
                            await self.run_once(link)
                        # Another worker asks again.
                        async with link.using:
                            await settle(receiver.abandon_message, _all(self._kept.take()))
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

    async def run_once(self, link: Link) -> int:
        """Receives once and sees through what can be; returns how many messages it received."""
        link.check()
        received = await self._receive(link)
        held = await self._read(link, received)
        for asked, messages in self._kept.due().items():
            held.setdefault(asked, []).extend(messages)
        if held:
            waiting, pause = await self._work(link, held, uuid4())
            self._kept.keep(waiting, pause)
        return len(received)

    async def _receive(self, link: Link) -> list[ServiceBusReceivedMessage]:
        left = self._kept.seconds_left()
        wait = RECEIVE_WAIT if left is None else min(RECEIVE_WAIT, max(SHORTEST_WAIT, left))
        if self._kept.full:
            await self._stops_within(wait)
            return []
        try:
            async with link.using:
                # It may have ended while this waited.
                link.check()
                received = await link.receiver.receive_messages(
                    self._batch_size, max_wait_time=wait
                )
        except ValueError as error:
            # The SDK has closed the receiver after an error of a message before.
            raise ConnectionError(str(error)) from error
        link.hold(received)
        return received

    async def _read(self, link: Link, received: Sequence[ServiceBusReceivedMessage]) -> Messages:
        """The messages by what they ask for; those that are not ours to read are dead-lettered."""
        readable: Messages = {}
        for message in received:
            try:
                task = TaskQueueMessage.model_validate_json(b"".join(message.body))
            except (ValueError, TypeError) as error:
                # TypeError: the body is no AMQP data section.
                why = reasons(error)
                async with link.using:
                    await dead_letter(link.receiver, [message], "not a TaskQueueMessage", why)
                link.let_go([message])
            else:
                asked = Asked(task.task_id, task.attempt, task.nonce, task.task_type)
                readable.setdefault(asked, []).append(message)
        return readable

    async def _work(self, link: Link, held: Messages, token: UUID) -> tuple[Messages, float]:
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
        completed = failed = 0
        if started:
            lease = min(row.lease for row in rows if row.verdict == "run")
            completed, failed = await self._do(list(started.values()), token, lease)
        self.totals = Totals(
            self.totals.completed + completed,
            self.totals.passed_over + len(held) - len(waiting) - completed - failed,
            self.totals.failed + failed,
        )
        seen_through = _all({asked: held[asked] for asked in held if asked not in waiting})
        async with link.using:
            await settle(link.receiver.complete_message, seen_through)
        link.let_go(seen_through)
        return waiting, pause.total_seconds()

    async def _do(
        self, tasks: Sequence[StartedTask], token: UUID, lease: timedelta
    ) -> tuple[int, int]:
        """Runs the handler and reports; returns how many tasks completed and how many failed."""
        task_ids = [task.task_id for task in tasks]
        done = asyncio.Event()
        heartbeat = asyncio.create_task(self._heartbeat(task_ids, token, lease, done))
        try:
            outcomes = await asyncio.to_thread(run_handler, self._handler, tasks)
        finally:
            done.set()
            await heartbeat
        results: dict[str, Json] = {}
        failures: dict[str, TaskFailed] = {}
        for task_id, outcome in zip(task_ids, outcomes, strict=True):
            if isinstance(outcome, TaskFailed):
                failures[task_id] = outcome
            else:
                results[task_id] = outcome
        completed = 0
        if results:
            completed, refused = await self._calls.complete_tasks(
                list(results), token, list(results.values())
            )
            for task_id, why in refused.items():
                log.error("task.result_refused", task_id=task_id, error=why)
                # The same work would bring the same result home.
                failures[task_id] = TaskFailed(f"its result was refused: {why}", retry=False)
        failed = await self._calls.fail_tasks(failures, token) if failures else 0
        return completed, failed

    async def _heartbeat(
        self, task_ids: Sequence[str], token: UUID, lease: timedelta, done: asyncio.Event
    ) -> None:
        """Renews the leases until the work is done; says which tasks are no longer ours."""
        period = max(SHORTEST_HEARTBEAT, lease.total_seconds() * HEARTBEAT)
        held = set(task_ids)
        while held:
            try:
                async with asyncio.timeout(period):
                    await done.wait()
                    return
            except TimeoutError:
                pass
            try:
                lost = await self._calls.heartbeat_tasks(sorted(held), token)
            except DatabaseUnavailable:
                return
            for task_id in sorted(lost):
                # Cancelled, or taken over: whatever comes of the work will not count.
                log.warning("task.lost", task_id=task_id)
            held -= lost

    async def _stops_within(self, seconds: float) -> bool:
        """True as soon as the worker is told to stop; False after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                return await self._stopping.wait()
        except TimeoutError:
            return False


def run_handler(handler: Handler, tasks: Sequence[StartedTask]) -> Sequence[Outcome]:
    """An outcome for each task, whatever the handler does."""
    try:
        outcomes = handler(tasks)
        if len(outcomes) == len(tasks):
            return outcomes
        why = f"the handler returned {len(outcomes)} outcomes for {len(tasks)} tasks"
    except Exception as error:  # noqa: BLE001
        why = f"{type(error).__name__}: {error}"
        log.error("handler.raised", with_traceback=True, tasks=len(tasks))
    return [TaskFailed(why)] * len(tasks)


def _all(messages: Messages) -> list[ServiceBusReceivedMessage]:
    return [message for repeats in messages.values() for message in repeats]
