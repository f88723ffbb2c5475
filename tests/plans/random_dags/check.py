"""Holds what became of a job against the model."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from tests.client import Client
from tests.plans.random_dags.model import End, Stage, first_end, play
from tests.plans.random_dags.work import Work


def check(client: Client, work: Work) -> None:
    """Each stage once, made after what it waits for, ended as the model says, and nothing left."""
    dag, rows = work.dag, work.rows(client)
    job = client.job(work.job_id)
    assert job.ended_at is not None
    assert job.failed_advances is None, job.error
    assert job.status == client.value(
        "select state from stagebus_data.jobs where job_id = %s and started_at is not null"
        " and started_at <= ended_at",
        work.job_id,
    )
    by_name: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        by_name[row.name].append(row)
        assert client.recount(work.job_id, row.stage) == []
    groups = [(row.name, row.group_value) for row in rows]
    assert len(groups) == len(set(groups)), "a stage was made twice"
    for row in rows:
        # After a cancelling was taken back, stages may begin after the final one.
        stage = dag.stage(row.name)
        if not (stage.final and work.taken_back):
            _assert_made_after(row, stage, by_name)
    made = {name: [_end(client, row) for row in each] for name, each in by_name.items()}
    if work.cancelled:
        _check_cancelled(work, made, job.status)
        return
    expected, state = play(dag)
    assert made == {name: list(each.ends) for name, each in expected.items()}
    assert job.status == state, f"the job is {job.status}, the model's {state}"


def check_nothing_is_left(client: Client) -> None:
    """By anybody, when all jobs are over."""
    assert client.due_jobs() == []
    assert client.count("due_advances") == 0
    assert client.count("running_attempts") == client.count("waiting_retries") == 0
    with client.transaction():
        for table in ("job_advances", "stages", "jobs"):
            client.rows(f"select from stagebus_data.{table} for update nowait")


def _end(client: Client, row: Any) -> End:
    counts = client.stage_row(row.job_id, row.stage)
    assert counts.completed + counts.failed + counts.cancelled == counts.task_count
    return End(row.status, counts.completed, counts.failed, counts.cancelled)


def _assert_made_after(row: Any, stage: Stage, by_name: dict[str, list[Any]]) -> None:
    before = stage.waits_for
    if stage.final:
        before = tuple(name for name in by_name if name != row.name)
    for name in before:
        assert by_name[name], f"{row.name} has begun, {name} has not"
        for each in by_name[name]:
            # A repair ends once more.
            assert each.repair or each.ended_at <= row.created_at, (
                f"{row.name} was made before {name} was over"
            )


def _check_cancelled(work: Work, made: dict[str, list[End]], state: str) -> None:
    """What had begun ended as it would have, or was cancelled; but the final one runs."""
    assert state == "cancelled"
    expected, _ = play(work.dag)
    for stage in work.dag.stages:
        ends = made.get(stage.name)
        if stage.final:
            assert ends, "the final stage runs all the same"
        if ends is None:
            continue
        assert stage.name in expected, f"{stage.name} has begun, by the model it never does"
        wanted = expected[stage.name].ends
        assert len(ends) == len(wanted)
        for place, (end, want) in enumerate(zip(ends, wanted, strict=True)):
            total = want.completed + want.failed + want.cancelled
            assert end.completed + end.failed + end.cancelled == total, stage
            mended_too_late = first_end(stage, total) if place == 0 else want
            assert end in (want, mended_too_late) or (
                end.state == "cancelled" and end.cancelled > 0
            ), f"{stage}: {end}"


def explain(client: Client, work: Work, error: BaseException) -> str:
    """All that somebody needs to see why."""
    progress = client.plan_progress(work.job_id)
    made, state = play(work.dag)
    job = client.job(work.job_id)
    due = client.rows("select stage from stagebus_data.due_advances where job_id = %s", work.job_id)
    return "\n".join(
        [
            f"{error}",
            "the plan, and what befalls its job:",
            *(f"    {line}" for line in str(work.dag).splitlines()),
            f"by the model: {state}",
            *(f"    {name}: {', '.join(map(str, each.ends))}" for name, each in made.items()),
            f"the job: {job.status}, due {due}, {job.error}",
            *(f"    {name}: {status}" for name, status in progress.items()),
            "what was done last:",
            *(f"    {what}" for what in work.said),
        ]
    )
