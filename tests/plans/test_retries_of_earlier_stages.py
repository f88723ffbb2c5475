"""What waits for a stage, directly or not, begins when it is over, also when it runs again."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.client import Client
from tests.plans.functions import create_function, returning

Plan = dict[str, Any]


def stage(name: str, count: Any = 1, **keys: Any) -> Plan:
    return {"name": name, "task_type": "h3_hexagon", "count": count} | keys


def retry(client: Client, job_id: UUID, task: int = 1) -> None:
    """Has the failed task of stage 1 run again, and complete."""
    client.work_orders()
    client.gather_retries()
    token, nonce = uuid4(), client.stage_row(job_id).nonce
    task_id = f"{job_id}-s1-{task}"
    assert client.start_task(task_id, 2, nonce, token).verdict == "run"
    assert client.complete_task(task_id, token) == "completed"


@pytest.mark.parametrize("worked_off", [False, True])
def test_a_stage_waits_for_the_retry_of_one_that_it_waits_for_by_way_of_another(
    client: Client, worked_off: bool
) -> None:
    client.define_job_type(
        [
            stage("a", 40),
            stage("b"),
            stage("c", "$.stages.a.completed"),
            stage("d", after=["b"], skip_when="$.stages.a.failed > 0"),
        ]
    )
    job_id = client.submit_job()
    client.advance_job(job_id)
    client.end_stage_of(job_id, 1, failing=1)
    assert client.advance_job(job_id).note == "b: 1 tasks"
    client.order("retry_tasks", job_id, 1)
    if worked_off:
        client.work_orders()
        assert client.stage(job_id).repair
    client.end_stage_of(job_id, 2)
    assert client.advance_job(job_id).stages == 0, "a runs again"
    retry(client, job_id)
    assert client.advance_job(job_id).note == "c: 40 tasks, d: 1 tasks"


@pytest.fixture
def slow_job(client: Client, team: Client) -> UUID:
    """a has ended with a failure; the function of b waits for the advisory lock 7."""
    slow = create_function(
        team,
        "gis.tiles",
        "perform pg_advisory_xact_lock_shared(7); return query select '{}'::jsonb;",
    )
    team.define_job_type([stage("a", 2), {"name": "b", "task_type": "tile", "tasks": slow}])
    job_id = team.submit_job()
    client.advance_job(job_id)
    client.end_stage_of(job_id, 1, failing=1)
    return job_id


@pytest.mark.parametrize("how_far", ["ordered", "over"])
def test_a_retry_that_is_ordered_while_the_next_stage_is_made_has_that_undone(
    client: Client, slow_job: UUID, how_far: str
) -> None:
    maker, holder = client.session(), client.session()
    with holder.transaction():
        holder.execute("select pg_advisory_xact_lock(7)")
        making = maker.in_background(lambda: maker.advance_job(slow_job))
        client.wait_until_blocked(maker, making)
        preview = client.order("retry_tasks", slow_job, 1, dry_run=True)
        assert preview.note == "the stage reopens"
        client.order("retry_tasks", slow_job, 1)
        if how_far == "over":
            retry(client, slow_job)
    assert making.result().status == "changed"
    if how_far == "ordered":
        assert client.advance_job(slow_job).stages == 0
        retry(client, slow_job)
    assert not client.stage(slow_job).repair
    assert client.advance_job(slow_job).note == "b: 1 tasks"


def test_a_stage_that_does_not_wait_for_a_retry_is_made_meanwhile(
    client: Client, team: Client
) -> None:
    tiles = returning(team, "select '{}'::jsonb")
    plan = [stage("a", 2), stage("b", after=[]), {"name": "c", "task_type": "tile", "tasks": tiles}]
    team.define_job_type(plan)
    job_id = team.submit_job()
    team.advance_job(job_id)
    client.end_stage_of(job_id, 1, failing=1)
    client.end_stage_of(job_id, 2)
    client.order("retry_tasks", job_id, 1)
    assert team.advance_job(job_id).note == "c: 1 tasks"
