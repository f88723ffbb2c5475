"""Sixteen sessions that do at random what producers, bridges, workers and operators may do.

Nobody knows what the others do, so nothing is predicted; what is refused is refused with an error
of ours, and afterwards the counters are right and everything ends.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg

from tests.client import Client, Message
from tests.life import looking
from tests.life.drain import drain
from tests.life.machine import TYPES, define_types
from tests.life.workers import Letter

SESSIONS = 16
JOBS = 12

#: What another session was quicker at, or what does not fit the state that was found; SB116 is a
#: deadline that passed meanwhile.
REFUSALS = ("SB102", "SB103", "SB104", "SB105", "SB106", "SB113", "SB116", "SB120")


@dataclass
class Broker:
    """What is on its way to the workers; lists are safe between threads."""

    messages: list[Message] = field(default_factory=list)
    running: list[tuple[Message, UUID]] = field(default_factory=list)

    def letters(self) -> list[Letter]:
        left = self.messages + [message for message, _ in self.running]
        return [
            Letter(
                (UUID(m.task_id[:36]), m.content["stage"], m.task_index), m.attempt, m.nonce,
                m.message_id,
            )
            for m in left
        ]  # fmt: skip


class Member:
    """One session."""

    def __init__(self, client: Client, broker: Broker, seed: int) -> None:
        self.client = client
        self.broker = broker
        self.random = random.Random(seed)
        self.done: Counter[str] = Counter()
        self.actions: dict[Callable[[], object], int] = {
            self.create: 3, self.fill: 2, self.next_stage: 2, self.finish_job: 1,
            self.publish: 8, self.fail_to_publish: 2, self.start: 12, self.complete: 10,
            self.fail: 4, self.die: 1, self.maintain: 3, self.time_passes: 1,
            self.order_about_a_batch: 4, self.retry_tasks: 3, self.cancel_stage: 1,
            self.cancel_job: 1, self.set_stage: 1, self.work_order: 8, self.stop_order: 1,
            self.undo_order: 2,
        }  # fmt: skip

    def act_until(self, end: float) -> Counter[str]:
        while time.monotonic() < end:
            (action,) = self.random.choices(*zip(*self.actions.items(), strict=True))
            name = action.__name__
            try:
                action()
            except psycopg.Error as error:
                if error.sqlstate not in REFUSALS:
                    raise
                name += f" {error.sqlstate}"
            self.done[name] += 1
        return self.done

    def any(self, query: str, *values: Any) -> Any:
        """One of the query's rows, or none."""
        rows = self.client.rows(query, *values)
        return self.random.choice(rows) if rows else None

    def any_stage(self) -> Any:
        return self.any("select * from stagebus_data.stages")

    # Producers.

    def create(self) -> None:
        running = self.client.value(
            "select count(*) from stagebus_data.jobs where ended_at is null"
        )
        if running < JOBS:
            kind = self.random.choice(TYPES).name
            job_id = self.client.create_job()
            self.client.create_stage_tasks(
                job_id, 1, kind, self.random.choice((1, 7, 40)), seal=self.random.random() < 0.8
            )

    def fill(self) -> None:
        stage = self.any("select * from stagebus_data.stages where state = 'filling'")
        if stage and self.random.random() < 0.5:
            self.client.append_tasks(stage.job_id, stage.stage, [{"n": n} for n in range(3)])
        elif stage:
            self.client.seal_stage(stage.job_id, stage.stage)

    def next_stage(self) -> None:
        due = self.any("select * from stagebus_data.due_advances")
        if due:
            kind = self.random.choice(TYPES).name
            self.client.create_stage_tasks(due.job_id, due.stage + 1, kind, 5)

    def finish_job(self) -> None:
        due = self.any("select * from stagebus_data.due_advances")
        if due:
            self.client.finish_job(due.job_id)

    # Bridges.

    def publish(self) -> None:
        for claim in self.client.claim_batches(self.random.randint(1, 4)):
            through = claim.published_through
            while messages := self.client.batch_messages(claim, through, 3):
                if claim.entity == "tasks":
                    self.broker.messages += messages
                through = messages[-1].task_index
                if not self.client.record_send(claim, messages[0].task_index, through):
                    break
            else:
                self.client.finish_batch(claim)

    def fail_to_publish(self) -> None:
        for claim in self.client.claim_batches(1):
            how = self.random.randrange(3)
            if how == 0:
                self.client.fail_batch(claim, max_attempts=2)
            elif how == 1:
                self.client.release_batch(claim)

    # Workers.

    def take(self, things: list[Any], most: int) -> list[Any]:
        """Some of them, which are no longer there for others."""
        taken: list[Any] = []
        with suppress(IndexError):
            while len(taken) < self.random.randint(1, most):
                taken += [things.pop(self.random.randrange(max(1, len(things))))]
        return taken

    def start(self) -> None:
        messages = self.take(self.broker.messages, 5)
        token = UUID(int=self.random.getrandbits(128))
        if messages:
            for message, verdict in zip(
                messages, self.client.start_all(messages, token), strict=True
            ):
                if verdict == "run":
                    self.broker.running.append((message, token))

    def complete(self) -> None:
        for message, token in self.take(self.broker.running, 2):
            self.client.heartbeat_task(message.task_id, token)
            self.client.complete_task(message.task_id, token)

    def fail(self) -> None:
        for message, token in self.take(self.broker.running, 2):
            self.client.fail_task(message.task_id, token, retry=self.random.random() < 0.5)

    def die(self) -> None:
        self.broker.messages += [message for message, _ in self.take(self.broker.running, 3)]

    # Maintenance and time.

    def maintain(self) -> None:
        self.client.maintain(self.random.choice((1, 10, 1000)))

    def time_passes(self) -> None:
        self.client.execute(
            "update stagebus_data.test_clock set at = at + make_interval(secs => %s)",
            self.random.choice((1, 20, 100)),
        )

    # Operators.

    def order_about_a_batch(self) -> None:
        batch = self.any("select * from stagebus_data.batches order by seq desc limit 30")
        if batch:
            action = self.random.choice(("hold_batch", "unhold_batch", "retry_batch"))
            options = {"unfinished": self.random.random() < 0.5} if action == "retry_batch" else {}
            self.client.order(action, batch.job_id, batch.batch_id, **options)

    def retry_tasks(self) -> None:
        if stage := self.any_stage():
            status = self.random.choice(("failed", "cancelled", "retry_wait"))
            self.client.order("retry_tasks", stage.job_id, stage.stage, status)

    def cancel_stage(self) -> None:
        if stage := self.any_stage():
            self.client.order("cancel_stage", stage.job_id, stage.stage)

    def cancel_job(self) -> None:
        if stage := self.any_stage():
            self.client.order("cancel_job", stage.job_id)

    def set_stage(self) -> None:
        if stage := self.any_stage():
            self.client.order(
                "set_stage", stage.job_id, stage.stage,
                tolerated_failures=self.random.choice(("0", "100%")),
                deadline=self.client.now() + timedelta(minutes=self.random.choice((1, 10))),
            )  # fmt: skip

    def any_order(self, condition: str) -> Any:
        return self.any(f"select * from stagebus_data.orders where {condition}")

    def work_order(self) -> None:
        if order := self.any_order("state = 'working'"):
            self.client.order("work_order", order.order_id, self.random.choice((1, 3, 1000)))

    def stop_order(self) -> None:
        if order := self.any_order("state = 'working'"):
            self.client.order("stop_order", order.order_id)

    def undo_order(self) -> None:
        if order := self.any_order("action in ('cancel_stage', 'cancel_job', 'hold_batch')"):
            self.client.orders("undo_order", order.order_id)


def run_crowd(client: Client, seconds: float, seed: int) -> Counter[str]:
    """How often each thing was done; an assertion or an error says what went wrong."""
    define_types(client)
    client.stop_clock()
    broker, end = Broker(), time.monotonic() + seconds

    def act(number: int) -> Counter[str]:
        with closing(Client(client.url)) as session:
            return Member(session, broker, seed * SESSIONS + number).act_until(end)

    with ThreadPoolExecutor(SESSIONS) as threads:
        done = sum(threads.map(act, range(SESSIONS)), Counter[str]())
    assert looking.miscounts(client) == []
    drain(client, broker.letters())
    assert looking.miscounts(client) == []
    return done
