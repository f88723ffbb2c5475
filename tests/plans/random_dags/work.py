"""Workers and operators of one job: what befalls it, in any order and from any session."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any
from uuid import UUID, uuid4

import psycopg

from tests.client import Client
from tests.plans.functions import returning
from tests.plans.random_dags.model import GIVE_UP, RETRY, TOLERATE, Dag, Stage

TASK_TYPE = "work"

#: Of its tasks that are still to be done: their indexes and attempts.
WAITING = (
    "select task_index, attempt from stagebus_data.tasks where job_id = %s and stage = %s"
    " and state is null and task_index <= %s order by task_index limit %s"
)
#: The same, of those whose messages are on the broker.
ARRIVED = (
    "select task_index, attempt from stagebus.tasks where job_id = %s and stage = %s"
    " and status = 'queued' and task_index <= %s order by task_index limit %s"
)


def prepare(client: Client) -> None:
    """What the plans name."""
    client.execute("create schema if not exists gis")
    client.execute("grant usage on schema gis to stagebus_nobody")
    client.set_task_type(TASK_TYPE, batch_size=500, max_attempts=1)


def submit(client: Client, dag: Dag, job_type: str, rng: random.Random) -> UUID:
    """Its plan names its stages in any order: what a stage waits for may come after it."""
    parameters: dict[str, Any] = {"skip": True}
    planned = [_planned(client, stage, f"gis.{job_type}_", parameters) for stage in dag.stages]
    rng.shuffle(planned)
    client.define_job_type(planned, job_type)
    return client.submit_job(job_type, parameters)


def _planned(client: Client, stage: Stage, prefix: str, parameters: dict[str, Any]) -> Any:
    """As define_job_type takes it; adds what its job's parameters must say."""
    planned: dict[str, Any] = {
        "name": stage.name,
        "task_type": TASK_TYPE,
        "tolerated_failures": str(stage.tolerated),
        "on_failure": stage.on_failure,
    }
    planned |= {"final": True} if stage.final else {"after": list(stage.waits_for)}
    if stage.groups:
        query = (
            f"select jsonb_build_object('group', 'g' || (n - 1) % {stage.groups}, 'n', n)"
            f" from generate_series(1, {stage.tasks}) as n"
        )
        tasks = returning(client, query, f"{prefix}{stage.name}")
        planned |= {"tasks": tasks, "group_by": "group"}
    elif stage.count_of:
        planned["count"] = f"$.stages.{stage.count_of}.completed"
    elif stage.tasks % 2:
        parameters[stage.name] = stage.tasks
        planned["count"] = f"$.parameters.{stage.name}"
    else:
        planned["count"] = stage.tasks
    if stage.skipped:
        planned["skip_when"] = "$.parameters.skip == true"
    elif stage.skipped_if_failed:
        planned["skip_when"] = f"$.stages.{stage.skipped_if_failed}.failed > 0"
    return planned


class Work:
    """What is still to befall one job. Several threads may share it."""

    def __init__(
        self, dag: Dag, job_id: UUID, *, waiting: str = WAITING, asked: bool = True
    ) -> None:
        self.dag, self.job_id = dag, job_id
        self.mended: set[int] = set()
        self.cancelled_by: int | None = None
        """The order that cancels the job."""
        self.taken_back = False
        self.said: deque[str] = deque(maxlen=60)
        """What was done last."""
        self.done: Counter[str] = Counter()
        self._waiting = waiting
        self._asked = asked
        self._operating = Lock()
        self._stages = {stage.name: stage for stage in dag.stages}
        self._cancelled_stages: set[int] = set()

    def is_to_be_advanced(self, client: Client) -> bool:
        """It is due, as a bridge asks it; or nobody asks."""
        return not self._asked or self.job_id in client.due_jobs()

    @property
    def cancelled(self) -> bool:
        """It is being cancelled, or was."""
        return self.cancelled_by is not None and not self.taken_back

    def rows(self, client: Client) -> list[Any]:
        return client.rows(
            "select s.*, s.stage = (select min(o.stage) from stagebus_data.stages as o"
            "  where o.job_id = s.job_id and o.name = s.name) as first"
            " from stagebus.stages as s where s.job_id = %s order by s.stage",
            self.job_id,
        )

    def over(self, client: Client) -> bool:
        """The job has ended, and so has all that somebody still does about it."""
        job = client.job(self.job_id)
        if job.ended_at is None or (self.dag.taken_back and self.cancelled):
            return False
        rows = self.rows(client)
        working = client.value(
            "select exists (select from stagebus.orders where job_id = %s and status = 'working')",
            self.job_id,
        )
        return not (
            working
            or any(row.ended_at is None for row in rows)
            or (not self.cancelled and any(self._to_mend(row, ended=True) for row in rows))
        )

    def step(self, client: Client, rng: random.Random) -> bool:
        """Does something that is to be done; False when there was nothing."""
        if self._operating.acquire(blocking=False):
            try:
                if self.operate(client, rng):
                    return True
            finally:
                self._operating.release()
        return self.end_some(client, rng)

    # Operators.

    def operate(self, client: Client, rng: random.Random) -> bool:
        """Cancels, mends, takes back, if it is time."""
        rows = self.rows(client)
        job = client.job(self.job_id)
        over = sum(row.ended_at is not None for row in rows)
        if self.cancelled and self.dag.taken_back and rng.random() < 0.2:
            return self._take_back(client)
        if (
            self.dag.cancelled_after is not None
            and self.cancelled_by is None
            and over >= self.dag.cancelled_after
        ):
            with self._unless_over("cancel_job"):
                self.cancelled_by = client.order("cancel_job", self.job_id).order_id
                return True
        for row in rows:
            stage = self._stages[row.name]
            if self._to_cancel(row, stage) and self._ended(client, row) == stage.cancelled_after:
                with self._unless_over(f"cancel_stage {row.name}"):
                    self._cancelled_stages.add(row.stage)
                    client.order("cancel_stage", self.job_id, row.stage)
                    return True
            if not self.cancelled and self._to_mend(row, ended=job.ended_at is not None):
                self._mend(client, row, stage.mended)
                return True
        return False

    @contextmanager
    def _unless_over(self, what: str) -> Iterator[None]:
        try:
            yield
            self._did(what)
        except psycopg.Error as error:
            # Somebody was faster.
            if error.sqlstate != "SB120":
                raise
            self._did(f"{what}: refused")

    def _to_cancel(self, row: Any, stage: Stage) -> bool:
        return (
            stage.cancelled_after is not None
            and row.first
            and row.ended_at is None
            and row.stage not in self._cancelled_stages
        )

    def _to_mend(self, row: Any, *, ended: bool) -> bool:
        stage = self._stages[row.name]
        return (
            stage.mended is not None
            and row.status == "failed"
            and row.stage not in self.mended
            and (stage.on_failure == "wait" or ended)
        )

    def _mend(self, client: Client, row: Any, how: str | None) -> None:
        self.mended.add(row.stage)
        with self._unless_over(f"{how} {row.name}"):
            if how == RETRY:
                client.order("retry_tasks", self.job_id, row.stage, "failed")
            elif how == TOLERATE:
                client.order("set_stage", self.job_id, row.stage, tolerated_failures=str(row.tasks))
            elif how == GIVE_UP:
                client.order("set_stage", self.job_id, row.stage, on_failure="fail_job")

    def _take_back(self, client: Client) -> bool:
        with self._unless_over("take back"):
            client.orders("undo_order", self.cancelled_by)
            self.taken_back = True
        return self.taken_back

    def _ended(self, client: Client, row: Any) -> int:
        count: int = client.value(
            "select count(*) from stagebus_data.tasks where job_id = %s and stage = %s"
            " and state in ('completed', 'failed')",
            self.job_id,
            row.stage,
        )
        return count

    # Workers.

    def end_some(self, client: Client, rng: random.Random) -> bool:
        """Starts tasks of an open stage, and ends those that it may; False where it has none."""
        running = [row for row in self.rows(client) if row.status == "open"]
        rng.shuffle(running)
        return any(self._end_some_of(client, row, rng) for row in running)

    def _end_some_of(self, client: Client, row: Any, rng: random.Random) -> bool:
        stage = self._stages[row.name]
        spared = row.first and stage.cancelled_after is not None
        waiting = client.rows(
            self._waiting,
            self.job_id,
            row.stage,
            stage.cancelled_after if spared else row.tasks,
            rng.choice([1, 10, 5000]),
        )
        if not waiting:
            return False
        nonce = client.stage_row(self.job_id, row.stage).nonce
        ids = {f"{self.job_id}-s{row.stage}-{task.task_index}": task for task in waiting}
        token = uuid4()
        attempts = [task.attempt for task in waiting]
        started = client.start_tasks(list(ids), attempts, [nonce] * len(ids), token)
        ours = [each.task_id for each in started if each.verdict == "run"]
        failing = stage.failing if row.first and not self._is_mended(row, stage) else 0
        bad = [each for each in ours if ids[each].task_index <= failing]
        good = [each for each in ours if ids[each].task_index > failing]
        if bad:
            client.fail_tasks(bad, token, ["out of luck"] * len(bad), retry=False)
        if good:
            client.complete_tasks(good, token)
        self._did(
            f"{row.name} {row.group_value or ''}: {len(good)} completed, {len(bad)} failed",
            "tasks",
        )
        return bool(ours)

    def _is_mended(self, row: Any, stage: Stage) -> bool:
        return row.stage in self.mended and stage.mended == RETRY

    def _did(self, what: str, kind: str | None = None) -> None:
        self.said.append(what)
        self.done[kind or what.partition(" s")[0]] += 1
