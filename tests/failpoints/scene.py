"""What a bridge is given to do so that it passes a point, and how everything must be at the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from azure.servicebus import ServiceBusMessage

from bridge.settings import Settings
from tests.bridge.conftest import (
    Queue,
    all_queued,
    assert_ledger_is_whole,
    create_stage,
    expected_ids,
    sends_of,
)
from tests.client import Client
from tests.operate.retention import ended_job, left_behind, set_retention

#: The points, by the call, in the order in which a batch meets them.
CALLS = (
    "claim_batches", "extend_lease", "send", "record_send", "record_last_send", "finish_batch",
    "fail_batch", "fail_unsendable_task", "release_batch", "maintain", "work_order",
    "fail_order_step", "drop_expired", "advance_job", "record_dead_letters",
    "complete_dead_letter",
)  # fmt: skip
#: Those of house-keeping, which have an earlier task or job to see to; and of an order about that
#: task.
ORDERS = ("work_order", "fail_order_step")
DEAD_LETTERS = ("record_dead_letters", "complete_dead_letter")
MAINTENANCE = ("maintain", "drop_expired", "advance_job", *ORDERS, *DEAD_LETTERS)
SIDES = ("before", "after")

TASKS = 30
#: In one send: a batch takes three of them.
SENT_AT_ONCE = 10
#: The task that no send has room for. After the last one nothing is sent with which the batch could
#: be finished.
TOO_BIG = {"fail_unsendable_task": 5, "finish_batch": TASKS}

LEASE = 1.2
SEND_DEADLINE = 1.0
#: Where no lease is to run out, however busy the machine is.
LONG_LEASE = 30.0
POLL = 0.2
#: Seconds that a bridge may take to start and to publish, on a busy machine.
SLACK = 8.0
#: From the failure on, until all is published: fail_batch lets a batch wait for a second.
RECOVERY = LEASE + POLL + 1.0 + SLACK

#: Passes a point that is met only when a lease has begun to run out, or when a bridge drains.
ON_THE_WAY = {
    "extend_lease": "claim_batches.after=stall:0.2@every;",
    "release_batch": "send.before=stall:0.3@every;",
}


@dataclass(frozen=True)
class Outcome:
    """What the ledger and the endpoint have seen of a failure."""

    unknown: int = 0
    """Rows of the ledger."""
    duplicates: int = 0
    """Messages that were sent again, and dropped."""

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(self.unknown + other.unknown, self.duplicates + other.duplicates)


#: What becomes of a batch that its bridge does not go on with: its lease runs out, and the ledger
#: calls unknown what is not recorded. What was stored by then comes a second time.
LEFT = {
    "claim_batches.before": Outcome(),
    "claim_batches.after": Outcome(unknown=1),
    "extend_lease.before": Outcome(unknown=1),
    "extend_lease.after": Outcome(unknown=1),
    "send.before": Outcome(unknown=1),
    "send.after": Outcome(unknown=1, duplicates=SENT_AT_ONCE),
    "record_send.before": Outcome(unknown=1, duplicates=SENT_AT_ONCE),
    "record_send.after": Outcome(unknown=1),
    "record_last_send.before": Outcome(unknown=1, duplicates=SENT_AT_ONCE),
    "record_last_send.after": Outcome(),
    "finish_batch.before": Outcome(),
    "finish_batch.after": Outcome(),
    "fail_batch.before": Outcome(unknown=1),
    "fail_batch.after": Outcome(),
    "fail_unsendable_task.before": Outcome(unknown=1),
    "fail_unsendable_task.after": Outcome(unknown=1),
    "release_batch.before": Outcome(unknown=1),
    "release_batch.after": Outcome(),
    "maintain.before": Outcome(),
    "maintain.after": Outcome(),
    "work_order.before": Outcome(),
    "work_order.after": Outcome(),
    "fail_order_step.before": Outcome(),
    "fail_order_step.after": Outcome(),
    "drop_expired.before": Outcome(),
    "drop_expired.after": Outcome(),
    "advance_job.before": Outcome(),
    "advance_job.after": Outcome(),
    "record_dead_letters.before": Outcome(),
    "record_dead_letters.after": Outcome(),
    "complete_dead_letter.before": Outcome(),
    "complete_dead_letter.after": Outcome(),
}


@dataclass(frozen=True)
class JournalledQueue(Queue):
    """A queue whose endpoint writes a line for each message that it stores."""

    journal: Path

    @property
    def ids(self) -> list[str]:
        """Of all messages that were stored, in order."""
        lines = [line.split("\t") for line in self.journal.read_text("utf-8").splitlines()]
        # Number 0: a repeat that was dropped.
        return [each for name, number, each in lines if name == self.name and number != "0"]


class Scene:
    """A stage of TASKS tasks in one batch and, where the call wants it, a task to try again."""

    def __init__(self, client: Client, queue: JournalledQueue, call: str, failures: int) -> None:
        self.client = client
        self.queue = queue
        self.call = call
        self._failures = failures
        self._order: Any = None
        self._retried: UUID | None = None
        self._planned: UUID | None = None
        #: The message of a task that is in the dead-letter queue to begin with.
        self._dead: str | None = None
        self._expired: UUID | None = None
        client.set_destination("tasks", max_send_messages=SENT_AT_ONCE)
        if self.call == "advance_job":
            self._planned = self._planned_job()
        elif self.call == "drop_expired":
            self._expired = self._expired_job()
        elif self.call in DEAD_LETTERS:
            self._retried, self._dead = self._dead_letter()
        elif self.call in MAINTENANCE:
            self._retried = self._failed_task()
        if self.call == "fail_order_step":
            self._stumble(steps=2)
        if self.call in ORDERS:
            self._order = client.order("retry_tasks", self._retried, 1)
        if self.call in TOO_BIG:
            self.job_id = self._stage_with_a_big_task()
        else:
            self.job_id = create_stage(client, TASKS)
        if self.call == "fail_batch":
            queue.endpoint.faults.set(
                name=queue.name, on="send", do="reject", entity=queue.name,
                condition="com.contoso:blue-moon", times=failures,
            )  # fmt: skip

    def failpoints(self, action: str, *sides: str) -> str:
        """What makes a bridge do `action` at the call; it drains meanwhile where it must."""
        points = [f"{self.call}.{side}={action}" for side in sides]
        if self.call == "send" and len(sides) == 2:
            # A send that has failed passes the point after it, too.
            points[1] += "@2"
        return ON_THE_WAY.get(self.call, "") + ";".join(points)

    def settings(self, make: Callable[..., Settings], lease: float = LEASE) -> Settings:
        """Those of the bridge that fails."""
        deadline = lease - 0.1 if self.call == "extend_lease" else SEND_DEADLINE
        return make(connections=1, lease=lease, poll=POLL, send_deadline=deadline)

    @property
    def drains(self) -> bool:
        return self.call == "release_batch"

    @property
    def done(self) -> bool:
        """All that there was to do has been done, the retry and the order included."""
        if self._retried is not None and len(self.client.batches(self._retried)) < 2:
            return False
        if self._planned is not None and not self.client.batches(self._planned):
            return False
        if self._dead is not None and self.queue.dead:
            return False
        if self._expired is not None and left_behind(self.client, self._expired):
            return False
        if self._order is not None:
            (order,) = self.client.rows("select status, last_error from stagebus.orders")
            if order.status != "done":
                return False
            assert order.last_error is None
        return all_queued(self.client)

    def assert_nothing_is_lost(self, expected: Outcome, *, at_most: bool = False) -> None:
        """And no more was sent again than is expected."""
        client, queue = self.client, self.queue
        assert client.value(
            "select bool_and(state = 'queued' and lease_until is null and claimed_by is null)"
            " from stagebus_data.batches"
        )
        wanted = expected_ids(client, self.job_id)
        assert len(wanted) == TASKS
        if self._retried is not None:
            wanted |= expected_ids(client, self._retried)
            assert client.count("waiting_retries") == 0
        if self._dead is not None:
            wanted.add(self._dead)
            assert client.column("select outcome from stagebus.dead_letters") == ["retry_wait"]
        if self._planned is not None:
            wanted |= expected_ids(client, self._planned)
        if self.call in TOO_BIG:
            wanted = {each for each in wanted if f"-s1-{TOO_BIG[self.call]}.1." not in each}
            assert client.task_states(self.job_id) == {"queued": TASKS - 1, "failed": 1}
        else:
            assert_ledger_is_whole(client, self.job_id)
            rejected = self._failures if self.call == "fail_batch" else 0
            assert sends_of(client, "rejected") == rejected
        assert queue.stored == len(wanted)
        assert sorted(queue.ids) == sorted(wanted)
        seen = Outcome(sends_of(client, "unknown"), queue.counts["duplicates_dropped"])
        if at_most:
            assert seen.unknown <= expected.unknown
            assert seen.duplicates <= expected.duplicates
        else:
            assert seen == expected

    def _stage_with_a_big_task(self) -> UUID:
        self.client.set_task_type("tiles")
        job_id = self.client.create_job()
        big = TOO_BIG[self.call]
        sizes = [9000 if index == big else 9 for index in range(1, TASKS + 1)]
        tasks = [{"name": "x" * size} for size in sizes]
        self.client.create_stage_tasks_from_array(job_id, 1, "tiles", tasks)
        # It had room for it when the task was made.
        self.client.set_destination("tasks", max_send_bytes=8192)
        return job_id

    def _stumble(self, steps: int) -> None:
        """The first steps of orders fail; a sequence counts them, which no rollback undoes."""
        self.client.execute("create sequence public.steps")
        self.client.execute("grant usage on sequence public.steps to stagebus_owner")
        step = self.client.value(
            "select pg_get_functiondef('stagebus.work_order(bigint, integer)'::regprocedure)"
        )
        stumbling = f"perform 1 / (nextval('public.steps') > {steps})::integer;"
        self.client.execute(step.replace("\nbegin\n", f"\nbegin\n    {stumbling}\n", 1))

    def _planned_job(self) -> UUID:
        """A job whose one stage is due to be made."""
        self.client.set_task_type("planned")
        self.client.define_job_type([{"name": "a", "task_type": "planned", "count": 3}])
        return self.client.submit_job()

    def _dead_letter(self) -> tuple[UUID, str]:
        """A job whose one task has another attempt left, and its message, which is dead."""
        self.client.set_task_type("flaky", max_attempts=2, retry_delay="1 millisecond")
        published = self.client.published_stage(1, "flaky")
        (message,) = published.messages
        self.queue.send(
            [
                ServiceBusMessage(
                    message.body, message_id=message.message_id, application_properties={}
                )
            ]
        )
        self.queue.bury()
        return published.job_id, message.message_id

    def _expired_job(self) -> UUID:
        """A job whose week goes."""
        job_id = ended_job(self.client)
        set_retention(self.client)
        self.client.execute("delete from stagebus_data.test_clock")
        return job_id

    def _failed_task(self) -> UUID:
        """A job whose one task failed; its next attempt is due, or wants an order."""
        attempts = 2 if self.call == "maintain" else 1
        self.client.set_task_type("flaky", max_attempts=attempts, retry_delay="1 millisecond")
        published = self.client.published_stage(1, "flaky")
        token = uuid4()
        self.client.start_all(published.messages, token)
        self.client.fail_tasks(published.task_ids, token, ["it rained"])
        return published.job_id
