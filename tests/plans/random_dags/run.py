"""Runs a job of a random plan to its end, and holds what became of it against the model."""

from __future__ import annotations

import random
from uuid import UUID, uuid4

from tests.client import Client
from tests.plans.functions import returning
from tests.plans.random_dags.model import TASK_TYPE, Dag, Stage


def prepare(client: Client) -> None:
    """What the plans name."""
    client.execute("create schema if not exists gis")
    client.execute("grant usage on schema gis to stagebus_nobody")
    client.set_task_type(TASK_TYPE, batch_size=500, max_attempts=1)


def submit(client: Client, dag: Dag, job_type: str) -> UUID:
    prefix = f"gis.{job_type}_"
    for stage in dag.stages:
        if stage.groups:
            returning(
                client,
                f"select jsonb_build_object('group', 'g' || (n - 1) % {stage.groups}, 'n', n)"
                f" from generate_series(1, {stage.tasks}) as n",
                f"{prefix}{stage.name}",
            )
    client.define_job_type(dag.plan(prefix), job_type)
    return client.submit_job(job_type, dag.parameters)


class Work:
    """Whoever ends the tasks of a job's stages, in any order, as the model has it befall them."""

    def __init__(self, client: Client, dag: Dag, job_id: UUID, rng: random.Random) -> None:
        self.client, self.dag, self.job_id, self.rng = client, dag, job_id, rng
        self._stages = {stage.name: stage for stage in dag.stages}
        self._cancelled: set[int] = set()
        self._job_cancelled = False

    def over(self) -> bool:
        return self.client.job(self.job_id).ended_at is not None

    def step(self) -> None:
        """Cancels the job if it is time, or ends some of the tasks of an open stage."""
        rows = self.client.rows(
            "select stage, name, status, tasks, coalesce(group_value, 'g0') = 'g0' as first"
            " from stagebus.stages where job_id = %s",
            self.job_id,
        )
        ended = sum(row.status not in ("open", "filling") for row in rows)
        if self.dag.cancelled_after is not None and not self._job_cancelled:
            if ended >= self.dag.cancelled_after and not self.over():
                self.client.order("cancel_job", self.job_id)
                self._job_cancelled = True
            self.client.work_orders()
        running = [row for row in rows if row.status == "open"]
        if not running:
            return
        row = self.rng.choice(running)
        stage = self._stages[row.name]
        if stage.cancelled and row.first and not self._job_cancelled:
            if row.stage not in self._cancelled:
                self.client.order("cancel_stage", self.job_id, row.stage)
                self._cancelled.add(row.stage)
            self.client.work_orders()
            return
        self._end_some(row.stage, stage.failing if row.first else 0)

    def _end_some(self, number: int, failing: int) -> None:
        nonce = self.client.stage_row(self.job_id, number).nonce
        indexes = self.client.column(
            "select task_index from stagebus_data.tasks where job_id = %s and stage = %s"
            " and state is null order by task_index limit %s",
            self.job_id,
            number,
            self.rng.choice([1, 10, 5000]),
        )
        ids = {index: f"{self.job_id}-s{number}-{index}" for index in indexes}
        token = uuid4()
        self.client.start_tasks(list(ids.values()), [1] * len(ids), [nonce] * len(ids), token)
        bad = [ids[index] for index in indexes if index <= failing]
        good = [ids[index] for index in indexes if index > failing]
        if bad:
            self.client.fail_tasks(bad, token, ["out of luck"] * len(bad), retry=False)
        if good:
            self.client.complete_tasks(good, token)


def check(client: Client, dag: Dag, job_id: UUID) -> None:
    """Each stage once, made after what it waits for, ended as the model says, and nothing left."""
    rows = client.rows("select * from stagebus.stages where job_id = %s order by stage", job_id)
    job = client.job(job_id)
    assert job.ended_at is not None
    assert job.failed_advances is None, job.error
    by_name: dict[str, list[object]] = {}
    for row in rows:
        by_name.setdefault(row.name, []).append(row)
        assert client.recount(job_id, row.stage) == []
    for stage in dag.stages:
        _check_stage(stage, by_name)
    if job.status == "cancelled":
        assert dag.cancelled_after is not None
        for stage in dag.stages:
            assert not stage.final or stage.name in by_name, "the final stage runs all the same"
    else:
        assert job.status == dag.ends()
        assert set(by_name) == {stage.name for stage in dag.stages if dag.begins(stage)}
        for stage in dag.stages:
            ends = sorted(row.status for row in by_name.get(stage.name, []))  # type: ignore[attr-defined]
            if ends:
                others = ["completed"] * (max(stage.groups, 1) - 1)
                assert ends == sorted([stage.end, *others[: len(ends) - 1]]), stage
    assert client.value("select count(*) from stagebus_data.due_advances") == 0


def _check_stage(stage: Stage, by_name: dict[str, list[object]]) -> None:
    made = by_name.get(stage.name, [])
    expected = 1 if stage.skipped or not stage.groups else stage.groups
    assert len(made) in (0, expected), f"{stage} was made {len(made)} times"
    if made and not stage.skipped:
        assert sum(row.tasks for row in made) == stage.tasks  # type: ignore[attr-defined]
    for name in stage.waits_for:
        for row in made:
            for before in by_name[name]:
                assert before.ended_at <= row.created_at  # type: ignore[attr-defined]


def check_or_say(client: Client, dag: Dag, job_id: UUID, what: str) -> None:
    try:
        check(client, dag, job_id)
    except AssertionError as error:
        rows = client.rows(
            "select name, group_value, status, tasks from stagebus.plan_progress"
            " where job_id = %s order by stage",
            job_id,
        )
        stages = "\n".join(map(str, dag.stages))
        made = "\n".join(map(str, rows))
        raise AssertionError(
            f"{what}, {client.job(job_id).status}, cancelled after {dag.cancelled_after}:"
            f"\n{stages}\n{made}\n{error}"
        ) from error
