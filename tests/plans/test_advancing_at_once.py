"""Two sessions at one job: each stage is made once, and no end of a stage is overlooked."""

from __future__ import annotations

from typing import Any

import pytest

from tests.client import Client
from tests.plans.functions import create_function

Plan = dict[str, Any]


def stage(name: str, count: Any = 1, **keys: Any) -> Plan:
    return {"name": name, "task_type": "h3_hexagon", "count": count} | keys


@pytest.fixture
def slow(client: Client, team: Client) -> str:
    """A function that waits for the advisory lock 7 before it returns its one task."""
    return create_function(
        team,
        "gis.tiles",
        "perform pg_advisory_xact_lock_shared(7); return query select '{}'::jsonb;",
    )


def test_a_second_session_finds_the_job_busy_and_makes_nothing(client: Client) -> None:
    client.define_job_type([stage("a", 3)])
    job_id = client.submit_job()
    other = client.session()
    with client.transaction():
        assert client.advance_job(job_id).status == "advanced"
        assert tuple(other.advance_job(job_id))[1:4] == ("busy", "created", None)
    assert other.advance_job(job_id).status == "nothing to make"
    assert client.stage(job_id).tasks == 3


def test_what_was_rolled_back_is_still_due(client: Client) -> None:
    client.define_job_type([stage("a", 3)])
    job_id = client.submit_job()
    with client.transaction(roll_back=True):
        client.advance_job(job_id)
    assert client.due_jobs() == [job_id]
    assert client.advance_job(job_id).status == "advanced"


def test_stages_end_while_another_of_their_job_is_made_and_nobody_waits(
    client: Client, slow: str, team: Client
) -> None:
    team.define_job_type(
        [
            stage("a"),
            stage("b", after=[]),
            {"name": "c", "task_type": "tile", "tasks": slow, "after": ["a"]},
            stage("d", after=["b"]),
        ]
    )
    job_id = team.submit_job()
    client.advance_job(job_id)
    client.end_stage_of(job_id, 1)
    maker, holder = client.session(), client.session()
    with holder.transaction():
        holder.execute("select pg_advisory_xact_lock(7)")
        making = maker.in_background(lambda: maker.advance_job(job_id))
        client.wait_until_blocked(maker, making)
        # While c is made, b ends: in no more time than alone, and it is due.
        client.execute("set lock_timeout = '1s'")
        client.end_stage_of(job_id, 2)
        assert client.due_jobs() == [job_id]
    assert making.result().note == "c: 1 tasks"
    assert client.due_jobs() == [job_id], "what ended after the look is still due"
    assert client.advance_job(job_id).note == "d: 1 tasks"


def test_two_last_stages_that_end_at_once_are_both_seen(client: Client) -> None:
    client.define_job_type([stage("a"), stage("b", after=[]), stage("c", after=["a", "b"])])
    job_id = client.submit_job()
    client.advance_job(job_id)
    other = client.session()
    with client.transaction():
        client.end_stage_of(job_id, 1)
        with other.transaction():
            other.end_stage_of(job_id, 2)
            third = client.session()
            assert third.advance_job(job_id).status == "nothing to make"
    assert client.due_jobs() == [job_id]
    assert client.advance_job(job_id).note == "c: 1 tasks"


def test_a_cancelling_that_comes_first_has_what_is_being_made_undone(
    client: Client, slow: str, team: Client
) -> None:
    team.define_job_type([{"name": "c", "task_type": "tile", "tasks": slow}])
    job_id = team.submit_job()
    maker, holder = client.session(), client.session()
    with holder.transaction():
        holder.execute("select pg_advisory_xact_lock(7)")
        making = maker.in_background(lambda: maker.advance_job(job_id))
        client.wait_until_blocked(maker, making)
        client.order("cancel_job", job_id)
    done = making.result()
    assert done.status == "changed", done
    assert client.job(job_id).status == "cancelled"
    assert client.rows("select * from stagebus.stages") == []


def test_a_cancelling_that_is_not_over_yet_has_what_is_being_made_undone_too(
    client: Client, slow: str, team: Client
) -> None:
    team.define_job_type(
        [
            stage("a"),
            stage("b", 3, after=[]),
            {"name": "c", "task_type": "tile", "tasks": slow, "after": ["a"]},
        ]
    )
    job_id = team.submit_job()
    client.advance_job(job_id)
    client.end_stage_of(job_id, 1)
    maker, holder = client.session(), client.session()
    with holder.transaction():
        holder.execute("select pg_advisory_xact_lock(7)")
        making = maker.in_background(lambda: maker.advance_job(job_id))
        client.wait_until_blocked(maker, making)
        client.order("cancel_job", job_id)
        assert client.job(job_id).status == "running"
    assert making.result().status == "changed"
    client.work_orders()
    assert client.job(job_id).status == "cancelled"
    assert client.plan_progress(job_id)["c"] == "never began"


def test_a_cancelling_that_comes_second_cancels_what_was_made(client: Client) -> None:
    client.define_job_type([stage("a", 3), stage("b")])
    job_id = client.submit_job()
    other = client.session()
    with client.transaction():
        client.advance_job(job_id)
        cancelling = other.in_background(lambda: other.order("cancel_job", job_id))
        client.wait_until_blocked(other, cancelling)
    assert cancelling.result().tasks == 3
    client.work_orders()
    assert client.job(job_id).status == "cancelled"
    assert client.stage(job_id).status == "cancelled"


def test_a_stage_that_is_reopened_while_the_next_is_made_has_that_undone(
    client: Client, slow: str, team: Client
) -> None:
    team.define_job_type([stage("a", 2), {"name": "c", "task_type": "tile", "tasks": slow}])
    job_id = team.submit_job()
    client.advance_job(job_id)
    client.end_stage_of(job_id, 1, failing=1)
    maker, holder = client.session(), client.session()
    with holder.transaction():
        holder.execute("select pg_advisory_xact_lock(7)")
        making = maker.in_background(lambda: maker.advance_job(job_id))
        client.wait_until_blocked(maker, making)
        client.order("retry_tasks", job_id, 1, "failed")
        assert client.work_orders() > 0
        assert not client.stage(job_id).repair, "nobody has gone past it yet"
    done = making.result()
    assert done.status == "changed", done
    assert client.stage(job_id).status == "open"
    assert client.column("select stage from stagebus.stages where job_id = %s", job_id) == [1]


def test_a_stage_that_is_reopened_after_the_next_was_made_is_a_repair(client: Client) -> None:
    client.define_job_type([stage("a", 2), stage("b")])
    job_id = client.submit_job()
    client.advance_job(job_id)
    client.end_stage_of(job_id, 1, failing=1)
    other = client.session()
    with client.transaction():
        assert client.advance_job(job_id).note == "b: 1 tasks"

        def retry() -> int:
            other.order("retry_tasks", job_id, 1, "failed")
            return other.work_orders()

        retrying = other.in_background(retry)
        client.wait_until_blocked(other, retrying)
    retrying.result()
    assert client.stage(job_id).repair


def test_a_retry_and_the_end_of_the_job_are_one_after_the_other(client: Client) -> None:
    client.define_job_type([stage("a", 2, tolerated_failures="0")])
    job_id = client.submit_job()
    client.advance_job(job_id)
    client.end_stage_of(job_id, 1, failing=1)
    other = client.session()
    with client.transaction():
        assert client.advance_job(job_id).job_status == "failed"

        def retry() -> int:
            other.order("retry_tasks", job_id, 1, "failed")
            return other.work_orders()

        retrying = other.in_background(retry)
        client.wait_until_blocked(other, retrying)
    retrying.result()
    assert client.job(job_id).status == "running"
    assert not client.stage(job_id).repair


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_other_isolation_levels_are_refused(client: Client, isolation: str) -> None:
    client.define_job_type([stage("a")])
    job_id = client.submit_job()
    with client.refused("SB115"), client.transaction(isolation):
        client.advance_job(job_id)
