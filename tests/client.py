"""One database as the tests see it: a method per stored function, and inspectors of its tables."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.rows import class_row, namedtuple_row
from psycopg.types.json import Jsonb

#: The one-call forms that make a stage.
FORMS = ("count", "array", "query")

Json = dict[str, Any]
T = TypeVar("T")

MINUTE = timedelta(minutes=1)
#: How long a session may take to reach a lock before a test gives up.
PATIENCE = 20.0


@dataclass(frozen=True)
class Summary:
    """A row of type stage_summary."""

    job_id: UUID
    stage: int
    tasks: int
    batches: int
    bytes: int


@dataclass(frozen=True)
class Claim:
    """A row of claim_batches."""

    job_id: UUID
    batch_id: UUID
    stage: int
    claim_epoch: int
    dispatch: int
    task_type: str
    entity_kind: str
    entity: str
    max_send_bytes: int
    max_send_messages: int
    published_through: int
    last_index: int
    average_body_bytes: int
    atomic: bool
    lease_until: datetime
    seq: int
    limited_for: timedelta | None


@dataclass(frozen=True)
class Write:
    """What a bridge was told is committed of a claim."""

    claim: Claim
    published_through: int = 0
    sends: int = 0
    settled: bool = False


@dataclass(frozen=True)
class Message:
    """A row of batch_messages."""

    task_index: int
    message_id: str
    body: bytes

    @property
    def content(self) -> Json:
        content: Json = json.loads(self.body)
        return content

    @property
    def task_id(self) -> str:
        return str(self.content["task_id"])

    @property
    def attempt(self) -> int:
        return int(self.content["attempt"])

    @property
    def nonce(self) -> str:
        return str(self.content["nonce"])


@dataclass(frozen=True)
class Started:
    """A row of start_tasks."""

    task_id: str
    verdict: str
    parameters: Json | None
    lease_until: datetime | None
    ask_again_after: timedelta | None


@dataclass(frozen=True)
class Failed:
    """A row of fail_tasks."""

    task_id: str
    verdict: str
    retry_at: datetime | None


@dataclass(frozen=True)
class Order:
    """A row of type order_report."""

    order_id: int | None
    action: str
    status: str
    job_id: UUID
    stage: int | None
    batch_id: UUID | None
    tasks: int
    tasks_done: int
    note: str


@dataclass(frozen=True)
class Publication:
    """A row of type publication_report."""

    job_id: UUID
    stage: int
    nonce: str
    status: str
    reason: str | None
    tasks: int
    batches: int
    queued_batches: int
    confirm_by: datetime
    order_id: int | None


@dataclass(frozen=True)
class PublishedStage:
    """A stage whose messages are on the broker, as far as the database knows."""

    job_id: UUID
    stage: int
    messages: list[Message] = field(default_factory=list)

    @property
    def task_ids(self) -> list[str]:
        return [message.task_id for message in self.messages]


class Client:
    """A session in one database. It is in autocommit mode; `transaction()` opens a block."""

    def __init__(self, url: str) -> None:
        self.url = url
        # A wait that nobody ends fails the test; it does not hang it.
        self.connection = psycopg.connect(
            url, autocommit=True, options=f"-c lock_timeout={PATIENCE:.0f}s"
        )
        self.bridge_id = uuid4()
        self._others: list[Client] = []
        self._threads: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes this session and those it opened."""
        for other in self._others:
            other.close()
        self.connection.close()
        if self._threads is not None:
            self._threads.shutdown()

    # Plain SQL.

    def execute(self, query: str, *values: Any) -> None:
        self.connection.execute(query, values or None)

    def rows(self, query: str, *values: Any) -> list[Any]:
        """The rows of a query, as named tuples."""
        with self.connection.cursor(row_factory=namedtuple_row) as cursor:
            return cursor.execute(query, values or None).fetchall()

    def row(self, query: str, *values: Any) -> Any:
        """The one row of a query, as a named tuple."""
        (row,) = self.rows(query, *values)
        return row

    def column(self, query: str, *values: Any) -> list[Any]:
        return [row[0] for row in self.rows(query, *values)]

    def value(self, query: str, *values: Any) -> Any:
        (value,) = self.row(query, *values)
        return value

    def _objects(self, kind: type[T], query: str, *values: Any) -> list[T]:
        with self.connection.cursor(row_factory=class_row(kind)) as cursor:
            return cursor.execute(query, values).fetchall()

    def _object(self, kind: type[T], query: str, *values: Any) -> T:
        (found,) = self._objects(kind, query, *values)
        return found

    # Sessions, transactions, the clock.

    def session(self, role: str | None = None) -> Client:
        """Another session in the same database, of a role if one is named; closed with this one."""
        other = Client(self.url)
        self._others.append(other)
        if role is not None:
            other.execute(f'set session authorization "{role}"')
        return other

    @contextmanager
    def transaction(
        self, isolation: str = "read committed", *, roll_back: bool = False
    ) -> Iterator[None]:
        """A transaction; an error rolls it back and goes on."""
        with self.connection.transaction(force_rollback=roll_back):
            self.execute(f"set transaction isolation level {isolation}")
            yield

    def in_background(self, call: Callable[[], T]) -> Future[T]:
        """Runs a call on this session in a thread of its own."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(max_workers=1)
        return self._threads.submit(call)

    def wait_until_blocked(self, other: Client, running: Future[Any]) -> None:
        """Returns when the other session waits for a lock that another holds."""
        give_up = time.monotonic() + PATIENCE
        pid = other.connection.info.backend_pid
        while not self.value("select cardinality(pg_blocking_pids(%s)) > 0", pid):
            assert not running.done(), f"it did not wait: {running!r}"
            assert time.monotonic() < give_up, "it never came to the lock"

    def at(self, moment: datetime) -> None:
        """Sets the clock of the database, for all sessions."""
        self.execute(
            "insert into stagebus_data.test_clock (at) values (%s)"
            " on conflict (only_row) do update set at = excluded.at",
            moment,
        )

    def advance(self, delta: timedelta) -> datetime:
        """Moves the clock on; it stands still between the moves."""
        moment = self.now() + delta
        self.at(moment)
        return moment

    def stop_clock(self) -> datetime:
        """From here on time passes only by `advance`."""
        return self.advance(timedelta())

    def now(self) -> datetime:
        moment: datetime = self.value("select stagebus.clock()")
        return moment

    @contextmanager
    def refused(self, sqlstate: str) -> Iterator[pytest.ExceptionInfo[psycopg.Error]]:
        """The block raises an error of ours: with this code, whole, and without any trace left."""
        before = self.contents()
        with pytest.raises(psycopg.Error) as caught:
            yield caught
        error = caught.value
        assert error.sqlstate == sqlstate, f"{error.sqlstate}: {error}"
        for part in ("message_primary", "message_detail", "message_hint"):
            assert getattr(error.diag, part), f"{sqlstate} has no {part}"
        assert self.contents() == before

    # Producers.

    def create_job(
        self,
        job_type: str | None = "tiles",
        parameters: Any = None,
        dedupe_key: str | None = None,
    ) -> UUID:
        job_id: UUID = self.value(
            "select stagebus.create_job(%s, parameters => %s, dedupe_key => %s)",
            job_type,
            Jsonb({} if parameters is None else parameters),
            dedupe_key,
        )
        return job_id

    def open_stage(
        self,
        job_id: UUID | None,
        stage: int | None = 1,
        task_type: str | None = "h3_hexagon",
        parameters: Any = None,
    ) -> None:
        self.execute(
            "select stagebus.open_stage(%s, %s, %s, parameters => %s)",
            job_id,
            stage,
            task_type,
            Jsonb({} if parameters is None else parameters),
        )

    def append_tasks(self, job_id: UUID, stage: int, tasks: Sequence[Any] | None) -> int:
        total: int = self.value(
            "select stagebus.append_tasks(%s, %s, %s::jsonb[])", job_id, stage, _objects(tasks)
        )
        return total

    def append_numbered_tasks(self, job_id: UUID, stage: int, task_count: int | None) -> int:
        total: int = self.value(
            "select stagebus.append_numbered_tasks(%s, %s, %s)", job_id, stage, task_count
        )
        return total

    def seal_stage(self, job_id: UUID, stage: int = 1) -> Summary:
        return self._object(Summary, "select * from stagebus.seal_stage(%s, %s)", job_id, stage)

    def publish_stage(
        self, job_id: UUID | None, stage: int | None = 1, timeout: timedelta | None = MINUTE
    ) -> Publication:
        return self._object(
            Publication, "select * from stagebus.publish_stage(%s, %s, %s)", job_id, stage, timeout
        )

    def publication(
        self, job_id: UUID | None, stage: int | None = 1, nonce: str | None = None
    ) -> Publication:
        return self._object(
            Publication, "select * from stagebus.publication(%s, %s, %s)", job_id, stage, nonce
        )

    def withdraw_stage(
        self,
        job_id: UUID | None,
        stage: int | None = 1,
        reason: str | None = None,
        nonce: str | None = None,
    ) -> Publication:
        return self._object(
            Publication,
            "select * from stagebus.withdraw_stage(%s, %s, %s, %s)",
            job_id,
            stage,
            reason,
            nonce,
        )

    def provisional_stage(
        self,
        tasks: int = 3,
        task_type: str = "h3_hexagon",
        job_id: UUID | None = None,
        stage: int = 1,
        timeout: timedelta = MINUTE,
    ) -> Publication:
        """A stage that waits to be published, and then to be confirmed."""
        job_id = self.create_job() if job_id is None else job_id
        self.create_stage_tasks(job_id, stage, task_type, tasks, seal=False)
        return self.publish_stage(job_id, stage, timeout)

    def release_refused(self, claim: Claim, reason: str) -> bool:
        """release_batch as of a bridge that the broker refused."""
        done: bool = self.value(
            "select stagebus.release_batch(%s, %s, %s, p_reason => %s,"
            " p_destination_is => 'refused')",
            claim.job_id,
            claim.batch_id,
            claim.claim_epoch,
            reason,
        )
        return done

    def summarise_stage(self, job_id: UUID, stage: int = 1) -> Summary:
        return self._object(
            Summary, "select * from stagebus.summarise_stage(%s, %s)", job_id, stage
        )

    def create_stage_tasks(
        self,
        job_id: UUID | None,
        stage: int | None = 1,
        task_type: str | None = "h3_hexagon",
        task_count: int | None = 1,
        parameters: Any = None,
        seal: bool | None = True,
        if_exists: str | None = "error",
    ) -> Summary:
        return self._create(
            "create_stage_tasks", job_id, stage, task_type, task_count, "bigint", parameters, seal,
            if_exists,
        )  # fmt: skip

    def create_stage_tasks_from_array(
        self,
        job_id: UUID | None,
        stage: int | None,
        task_type: str | None,
        tasks: Sequence[Any] | None,
        parameters: Any = None,
        seal: bool | None = True,
        if_exists: str | None = "error",
    ) -> Summary:
        return self._create(
            "create_stage_tasks_from_array", job_id, stage, task_type, _objects(tasks), "jsonb[]",
            parameters, seal, if_exists,
        )  # fmt: skip

    def create_stage_tasks_from_query(
        self,
        job_id: UUID | None,
        stage: int | None,
        task_type: str | None,
        query: str | None,
        parameters: Any = None,
        seal: bool | None = True,
        if_exists: str | None = "error",
    ) -> Summary:
        return self._create(
            "create_stage_tasks_from_query", job_id, stage, task_type, query, "text", parameters,
            seal, if_exists,
        )  # fmt: skip

    def _create(
        self,
        function: str,
        job_id: UUID | None,
        stage: int | None,
        task_type: str | None,
        tasks: Any,
        kind: str,
        parameters: Any,
        seal: bool | None,
        if_exists: str | None,
    ) -> Summary:
        # In the from clause: (function()).* would call it once per column.
        return self._object(
            Summary,
            f"select * from stagebus.{function}(%s, %s, %s, %s::{kind},"
            " parameters => %s, seal => %s, if_exists => %s)",
            job_id,
            stage,
            task_type,
            tasks,
            Jsonb({} if parameters is None else parameters),
            seal,
            if_exists,
        )

    def create_stage(
        self,
        form: str,
        job_id: UUID | None,
        stage: int | None = 1,
        task_type: str | None = "h3_hexagon",
        **options: Any,
    ) -> Summary:
        """A stage of three tasks by one of the one-call forms: count, array or query."""
        if form == "count":
            return self.create_stage_tasks(job_id, stage, task_type, 3, **options)
        if form == "array":
            tasks = [{"n": 1}, {"n": 2}, {"n": 3}]
            return self.create_stage_tasks_from_array(job_id, stage, task_type, tasks, **options)
        query = "select jsonb_build_object('n', n) from generate_series(1, 3) as n"
        return self.create_stage_tasks_from_query(job_id, stage, task_type, query, **options)

    def finish_job(self, job_id: UUID | None) -> str:
        state: str = self.value("select stagebus.finish_job(%s)", job_id)
        return state

    def stage_results(self, job_id: UUID, stage: int = 1) -> list[tuple[int, Any]]:
        return [
            (row.task_index, row.result)
            for row in self.rows("select * from stagebus.stage_results(%s, %s)", job_id, stage)
        ]

    # Plans.

    def define_job_type(self, plan: Any, job_type: str | None = "pipeline") -> int:
        """The version; a list is the stages of a plan."""
        given = {"stages": plan} if isinstance(plan, list) else plan
        version: int = self.value("select stagebus.define_job_type(%s, %s)", job_type, Jsonb(given))
        return version

    def submit_job(
        self,
        job_type: str | None = "pipeline",
        parameters: Any = None,
        dedupe_key: str | None = None,
    ) -> UUID:
        job_id: UUID = self.value(
            "select stagebus.submit_job(%s, parameters => %s, dedupe_key => %s)",
            job_type,
            Jsonb({} if parameters is None else parameters),
            dedupe_key,
        )
        return job_id

    def advance_job(self, job_id: UUID | None) -> Any:
        """A row of type advance_report."""
        return self.row("select * from stagebus.advance_job(%s)", job_id)

    def explain_plan(self, job_type: str | None = "pipeline", parameters: Any = None) -> list[Any]:
        return self.rows(
            "select * from stagebus.explain_plan(%s, %s)",
            job_type,
            Jsonb({} if parameters is None else parameters),
        )

    def due_jobs(self, limit: int = 100, except_types: Sequence[str] = ()) -> list[UUID]:
        return self.column(
            "select job_id from stagebus.due_jobs(%s, %s)", limit, list(except_types)
        )

    def plan_progress(self, job_id: UUID) -> dict[str, str]:
        """The status of each stage of the plan, by name; with the group's value if it has one."""
        return {
            " ".join(filter(None, (row.name, row.group_value))): row.status
            for row in self.rows(
                "select * from stagebus.plan_progress where job_id = %s order by stage", job_id
            )
        }

    def end_stage_of(self, job_id: UUID, stage: int, failing: int = 0, result: Any = None) -> None:
        """Ends the tasks of a stage as a worker does: the first `failing` fail for good."""
        nonce = self.value(
            "select nonce from stagebus_data.stages where job_id = %s and stage = %s", job_id, stage
        )
        ids = self.column(
            "select job_id::text || '-s' || stage || '-' || task_index from stagebus_data.tasks"
            " where job_id = %s and stage = %s and state is null order by task_index",
            job_id,
            stage,
        )
        token = uuid4()
        self.start_tasks(ids, [1] * len(ids), [nonce] * len(ids), token)
        if failing:
            self.fail_tasks(ids[:failing], token, ["out of luck"] * failing, retry=False)
        if len(ids) > failing:
            done = ids[failing:]
            self.complete_tasks(done, token, None if result is None else [result] * len(done))

    # Bridges.

    def check_writes(self, *writes: Write, bridge_id: UUID | None = None) -> Any:
        """A row of check_writes: server, fsync, lost."""
        return self.row(
            "select * from stagebus.check_writes(%s, %s, %s, %s, %s, %s, %s)",
            bridge_id or self.bridge_id,
            [write.claim.job_id for write in writes],
            [write.claim.batch_id for write in writes],
            [write.claim.claim_epoch for write in writes],
            [write.published_through for write in writes],
            [write.sends for write in writes],
            [write.settled for write in writes],
        )

    def claim_batches(
        self,
        limit: int | None = 1,
        lease: timedelta = MINUTE,
        start: int | None = 0,
        bridge_id: UUID | None = None,
    ) -> list[Claim]:
        return self._objects(
            Claim,
            "select * from stagebus.claim_batches(%s, %s, %s, %s)",
            bridge_id or self.bridge_id,
            limit,
            lease,
            start,
        )

    def claim(self) -> Claim:
        """The next batch, which is there."""
        (claim,) = self.claim_batches(1)
        return claim

    def batch_messages(
        self, claim: Claim, after_index: int = 0, limit: int = 100_000
    ) -> list[Message]:
        return self._objects(
            Message,
            "select * from stagebus.batch_messages(%s, %s, %s, %s, %s)",
            claim.job_id,
            claim.batch_id,
            claim.claim_epoch,
            after_index,
            limit,
        )

    def extend_lease(self, claim: Claim, lease: timedelta = MINUTE) -> bool:
        return bool(
            self.value(
                "select stagebus.extend_lease(%s, %s, %s, %s)",
                claim.job_id,
                claim.batch_id,
                claim.claim_epoch,
                lease,
            )
        )

    def record_send(
        self,
        claim: Claim,
        first_index: int,
        last_index: int,
        outcome: str = "accepted",
        error: str | None = None,
        lease: timedelta = MINUTE,
        messages: int | None = None,
        size: int = 1000,
    ) -> bool:
        return bool(
            self.value(
                "select stagebus.record_send(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                claim.job_id,
                claim.batch_id,
                claim.claim_epoch,
                first_index,
                last_index,
                last_index - first_index + 1 if messages is None else messages,
                size,
                timedelta(milliseconds=4),
                outcome,
                error,
                lease,
            )
        )

    def finish_batch(self, claim: Claim) -> bool:
        return bool(
            self.value(
                "select stagebus.finish_batch(%s, %s, %s)",
                claim.job_id,
                claim.batch_id,
                claim.claim_epoch,
            )
        )

    def fail_unsendable_task(
        self, claim: Claim, task_index: int, error: str = "not taken", epoch: int | None = None
    ) -> bool:
        done: bool = self.value(
            "select stagebus.fail_unsendable_task(%s, %s, %s, %s, %s)",
            claim.job_id, claim.batch_id, claim.claim_epoch if epoch is None else epoch,
            task_index, error,
        )  # fmt: skip
        return done

    def release_batch(self, claim: Claim, delay: timedelta = timedelta()) -> bool:
        return bool(
            self.value(
                "select stagebus.release_batch(%s, %s, %s, %s)",
                claim.job_id,
                claim.batch_id,
                claim.claim_epoch,
                delay,
            )
        )

    def fail_batch(
        self, claim: Claim, error: str = "the link is down", max_attempts: int = 10
    ) -> str | None:
        state: str | None = self.value(
            "select stagebus.fail_batch(%s, %s, %s, %s, %s)",
            claim.job_id,
            claim.batch_id,
            claim.claim_epoch,
            error,
            max_attempts,
        )
        return state

    def maintain(self, limit: int = 1000) -> tuple[int, int]:
        """How many lost attempts it ended, and how many retries it gathered."""
        row = self.row("select * from stagebus.maintain(%s)", limit)
        return row.lost_attempts, row.retried_tasks

    def end_lost_attempts(self, limit: int = 1000) -> int:
        ended: int = self.value("select stagebus.end_lost_attempts(%s)", limit)
        return ended

    def gather_retries(self, limit: int = 1000) -> int:
        gathered: int = self.value("select stagebus.gather_retries(%s)", limit)
        return gathered

    # Workers.

    def start_tasks(
        self,
        task_ids: Sequence[str | None] | None,
        attempts: Sequence[int | None] | None,
        nonces: Sequence[str | None] | None,
        token: UUID | None,
        worker: str | None = None,
    ) -> list[Started]:
        return self._objects(
            Started,
            "select * from stagebus.start_tasks("
            "%s::text[], %s::integer[], %s::text[], %s::uuid, %s)",
            task_ids,
            attempts,
            nonces,
            token,
            worker,
        )

    def start_task(
        self,
        task_id: str | None,
        attempt: int | None,
        nonce: str | None,
        token: UUID | None,
        worker: str | None = None,
    ) -> Started:
        return self._object(
            Started,
            "select * from stagebus.start_task(%s, %s, %s, %s, %s)",
            task_id,
            attempt,
            nonce,
            token,
            worker,
        )

    def start(self, message: Message, token: UUID, worker: str | None = None) -> Started:
        """start_task as a worker that received the message calls it."""
        return self.start_task(message.task_id, message.attempt, message.nonce, token, worker)

    def start_all(self, messages: Sequence[Message], token: UUID) -> list[str]:
        """start_tasks as a worker that received the messages calls it; the verdicts."""
        contents = [message.content for message in messages]
        started = self.start_tasks(
            [content["task_id"] for content in contents],
            [content["attempt"] for content in contents],
            [content["nonce"] for content in contents],
            token,
        )
        return [answer.verdict for answer in started]

    def heartbeat_tasks(
        self, task_ids: Sequence[str], token: UUID
    ) -> list[tuple[str, datetime | None]]:
        rows = self.rows("select * from stagebus.heartbeat_tasks(%s, %s)", list(task_ids), token)
        return [(row.task_id, row.lease_until) for row in rows]

    def heartbeat_task(self, task_id: str, token: UUID) -> datetime | None:
        until: datetime | None = self.value(
            "select stagebus.heartbeat_task(%s, %s)", task_id, token
        )
        return until

    def complete_tasks(
        self,
        task_ids: Sequence[str | None],
        token: UUID | None,
        results: Sequence[Any] | None = None,
    ) -> list[str]:
        """The verdicts, in the order of the ids."""
        return self.column(
            "select verdict from stagebus.complete_tasks(%s::text[], %s::uuid, %s::jsonb[])",
            list(task_ids),
            token,
            _objects(results),
        )

    def complete_task(self, task_id: str | None, token: UUID | None, result: Any = None) -> str:
        verdict: str = self.value(
            "select stagebus.complete_task(%s, %s, result => %s)",
            task_id,
            token,
            None if result is None else Jsonb(result),
        )
        return verdict

    def fail_tasks(
        self,
        task_ids: Sequence[str | None] | None,
        token: UUID | None,
        errors: Sequence[str | None] | None,
        retry: bool | None = True,
    ) -> list[Failed]:
        """A row per task id, in the order of the ids."""
        return self._objects(
            Failed,
            "select * from stagebus.fail_tasks(%s::text[], %s::uuid, %s::text[], retry => %s)",
            task_ids,
            token,
            errors,
            retry,
        )

    def fail_task(
        self,
        task_id: str | None,
        token: UUID | None,
        error: str | None = "out of luck",
        retry: bool | None = True,
    ) -> str:
        verdict: str = self.value(
            "select stagebus.fail_task(%s, %s, %s, retry => %s)", task_id, token, error, retry
        )
        return verdict

    def record_dead_letters(
        self,
        *message_ids: str | None,
        reason: str | None = "MaxDeliveryCountExceeded",
        description: str | None = "ten deliveries",
        first_number: int = 1,
        destination: str = "tasks",
    ) -> list[str]:
        """As a bridge that found them in the dead-letter queue, numbered from `first_number` on."""
        found = range(first_number, first_number + len(message_ids))
        return self.column(
            "select stagebus.record_dead_letters("
            "%s, %s::bigint[], %s::text[], %s::text[], %s::text[], %s::integer[],"
            " %s::timestamptz[], %s::integer[])",
            destination,
            list(found),
            list(message_ids),
            [reason for _ in found],
            [description for _ in found],
            [10 for _ in found],
            [self.now() for _ in found],
            [321 for _ in found],
        )

    # Operators.

    def order(self, function: str, *arguments: Any, **options: Any) -> Order:
        """A call of retry_tasks, cancel_job, hold_batch …: its report."""
        (order,) = self.orders(function, *arguments, **options)
        return order

    def orders(self, function: str, *arguments: Any, **options: Any) -> list[Order]:
        given = ["%s"] * len(arguments) + [f"{option} => %s" for option in options]
        values = [
            Jsonb(value) if isinstance(value, dict) else value
            for value in (*arguments, *options.values())
        ]
        return self._objects(
            Order, f"select * from stagebus.{function}({', '.join(given)})", *values
        )

    def work_orders(self, limit: int = 10_000) -> int:
        """Works off all orders, as a bridge does; returns in how many steps."""
        steps = 0
        while orders := self.column("select * from stagebus.working_orders()"):
            for order_id in orders:
                self.execute("select stagebus.work_order(%s, %s)", order_id, limit)
                steps += 1
                assert steps < 100_000, "an order never ends"
        return steps

    def destination(self, destination: str = "tasks") -> Any:
        """A row of the view destination_status."""
        (row,) = self.rows(
            "select * from stagebus.destination_status where destination = %s", destination
        )
        return row

    def order_row(self, order_id: int | None) -> Any:
        """A row of the view orders."""
        (row,) = self.rows("select * from stagebus.orders where order_id = %s", order_id)
        return row

    def recount(self, job_id: UUID, stage: int = 1) -> list[Any]:
        """What the counters say and the rows do not."""
        return self.rows("select * from stagebus.recount_stage(%s, %s)", job_id, stage)

    def set_task_type(self, task_type: str | None, **options: Any) -> None:
        """Options: boundary, batch_size, timeout, max_attempts, destination, atomic …."""
        self._set("set_task_type", task_type, options)

    def set_destination(self, destination: str | None, **options: Any) -> None:
        """Options: entity, entity_kind, max_send_bytes, max_send_messages."""
        self._set("set_destination", destination, options)

    def _set(self, function: str, name: str | None, options: Mapping[str, Any]) -> None:
        named = "".join(f", {option} => %s" for option in options)
        self.execute(f"select stagebus.{function}(%s{named})", name, *options.values())

    # Inspectors.

    def job(self, job_id: UUID) -> Any:
        return self.row("select * from stagebus.jobs where job_id = %s", job_id)

    def stage(self, job_id: UUID, stage: int = 1) -> Any:
        return self.row(
            "select * from stagebus.stages where job_id = %s and stage = %s", job_id, stage
        )

    def stage_row(self, job_id: UUID, stage: int = 1) -> Any:
        """The stage's row in the table: with its counters and its nonce."""
        return self.row(
            "select * from stagebus_data.stages where job_id = %s and stage = %s", job_id, stage
        )

    def progress(self, job_id: UUID, stage: int = 1) -> Any:
        return self.row(
            "select * from stagebus.job_progress where job_id = %s and stage = %s", job_id, stage
        )

    def batches(self, job_id: UUID, stage: int = 1) -> list[Any]:
        """The batches of a stage, oldest first."""
        return self.rows(
            "select * from stagebus_data.batches where job_id = %s and stage = %s order by seq",
            job_id,
            stage,
        )

    def batch(self, claim: Claim) -> Any:
        return self.row(
            "select * from stagebus_data.batches where job_id = %s and batch_id = %s",
            claim.job_id,
            claim.batch_id,
        )

    def sends(self, claim: Claim) -> list[Any]:
        """The ledger of a batch."""
        return self.rows(
            "select * from stagebus_data.sends where job_id = %s and batch_id = %s"
            " order by send_no",
            claim.job_id,
            claim.batch_id,
        )

    def task(self, task_id: str) -> Any:
        """A task as the view shows it."""
        job_id, stage, index = _parse(task_id)
        return self.row(
            "select * from stagebus.tasks where job_id = %s and stage = %s and task_index = %s",
            job_id,
            stage,
            index,
        )

    def task_states(self, job_id: UUID, stage: int = 1) -> dict[str, int]:
        """How many tasks have each status, counted from their rows."""
        return dict(
            self.rows(
                "select status, count(*) from stagebus.tasks where job_id = %s and stage = %s"
                " group by status",
                job_id,
                stage,
            )
        )

    def due_advances(self) -> list[tuple[UUID, int]]:
        return [
            (row.job_id, row.stage)
            for row in self.rows("select * from stagebus_data.due_advances order by job_id, stage")
        ]

    def count(self, table: str) -> int:
        """The rows of a table of stagebus_data."""
        count: int = self.value(f"select count(*) from stagebus_data.{table}")
        return count

    def tables(self) -> list[str]:
        """The tables of stagebus_data, without partitions."""
        return self.column(
            "select relname from pg_class where relnamespace = 'stagebus_data'::regnamespace"
            " and relkind in ('r', 'p') and not relispartition order by relname"
        )

    def contents(self) -> dict[str, str | None]:
        """A digest of each table's rows: equal when nothing has changed."""
        return {
            table: self.value(
                "select md5(string_agg(t::text, e'\\n' order by t::text))"
                f" from stagebus_data.{table} as t"
            )
            for table in self.tables()
        }

    # What many tests begin with.

    def publish(self) -> list[Message]:
        """Does a bridge's work until nothing is claimable; returns what went out, in order."""
        sent: list[Message] = []
        while claims := self.claim_batches(100):
            for claim in claims:
                messages = self.batch_messages(claim, claim.published_through)
                if messages:
                    first, last = messages[0].task_index, messages[-1].task_index
                    # The one send of an atomic batch stands for all of it.
                    last = claim.last_index if claim.atomic else last
                    assert self.record_send(claim, first, last, messages=len(messages))
                assert self.finish_batch(claim)
                sent += messages
        return sent

    def published_stage(
        self,
        tasks: int | Sequence[Json] = 1,
        task_type: str = "h3_hexagon",
        parameters: Json | None = None,
        job_id: UUID | None = None,
        stage: int = 1,
    ) -> PublishedStage:
        """A stage whose messages are out; `tasks` is their number or their parameters."""
        job_id = self.create_job() if job_id is None else job_id
        if isinstance(tasks, int):
            self.create_stage_tasks(job_id, stage, task_type, tasks, parameters)
        else:
            self.create_stage_tasks_from_array(job_id, stage, task_type, tasks, parameters)
        messages = [
            message for message in self.publish() if message.content["job_id"] == str(job_id)
        ]
        return PublishedStage(job_id, stage, messages)

    def run_stage(self, published: PublishedStage) -> None:
        """Starts and completes all tasks of a stage."""
        token = uuid4()
        assert set(self.start_all(published.messages, token)) == {"run"}
        assert set(self.complete_tasks(published.task_ids, token)) == {"completed"}


class Listener:
    """A session that hears notifications."""

    def __init__(self, client: Client, *channels: str) -> None:
        self._session = client.session()
        for channel in channels:
            self._session.execute(f"listen {channel}")

    def heard(self) -> list[tuple[str, str]]:
        """Channel and payload of what was notified since the last call.

        A notification reaches a listener that is idle before the answer to its next statement, if
        the notifying transaction had ended before.
        """
        self._session.execute("select 1")
        return [
            (note.channel, note.payload) for note in self._session.connection.notifies(timeout=0)
        ]


def _objects(values: Sequence[Any] | None) -> list[Jsonb | None] | None:
    """Python values as jsonb[]; None is SQL's null."""
    if values is None:
        return None
    return [None if value is None else Jsonb(value) for value in values]


def _parse(task_id: str) -> tuple[UUID, int, int]:
    job_id, rest = task_id[:36], task_id[38:]
    stage, index = rest.split("-")
    return UUID(job_id), int(stage), int(index)
