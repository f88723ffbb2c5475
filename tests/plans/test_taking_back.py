"""A job with parallel stages whose cancelling is stopped or taken back goes on where it was."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.client import Client

Plan = dict[str, Any]


def stage(name: str, count: Any = 1, **keys: Any) -> Plan:
    return {"name": name, "task_type": "h3_hexagon", "count": count} | keys


def branches(client: Client, *more: Plan) -> UUID:
    """a, and c after it; beside them b. The first two are open."""
    client.define_job_type([stage("a"), stage("b", 3, after=[]), stage("c", after=["a"]), *more])
    job_id = client.submit_job()
    client.advance_job(job_id)
    return job_id


def end_task(client: Client, task_id: str) -> None:
    task, token = client.task(task_id), uuid4()
    nonce = client.stage_row(task.job_id, task.stage).nonce
    assert client.start_task(task_id, task.attempt, nonce, token).verdict == "run"
    assert client.complete_task(task_id, token) == "completed"


def test_a_stage_that_ended_before_the_cancelling_is_still_acted_on_when_that_is_stopped(
    client: Client,
) -> None:
    job_id = branches(client)
    client.end_stage_of(job_id, 1)
    order = client.order("cancel_job", job_id)
    client.order("stop_order", order.order_id)
    assert client.due_jobs() == [job_id]
    assert client.advance_job(job_id).note == "c: 1 tasks"


def test_a_stage_that_ended_during_the_cancelling_is_acted_on_when_that_is_stopped(
    client: Client,
) -> None:
    job_id = branches(client)
    order = client.order("cancel_job", job_id)
    client.execute("select stagebus.work_order(%s, 1)", order.order_id)
    client.execute("select stagebus.work_order(%s, 1)", order.order_id)
    assert client.stage(job_id, 1).status == "cancelled"
    client.order("stop_order", order.order_id)
    assert client.due_jobs() == [job_id]


def test_a_cancelling_that_is_over_is_taken_back_and_what_had_not_begun_begins(
    client: Client,
) -> None:
    job_id = branches(client)
    client.end_stage_of(job_id, 1)
    order = client.order("cancel_job", job_id)
    client.work_orders()
    assert client.job(job_id).status == "cancelled"
    client.orders("undo_order", order.order_id)
    client.work_orders()
    assert client.job(job_id).status == "running"
    assert client.due_jobs() == [job_id], "c need not wait for b"
    assert client.advance_job(job_id).note == "c: 1 tasks"


def test_a_cancelling_is_taken_back_while_the_final_stage_runs(client: Client) -> None:
    job_id = branches(client, stage("tidy", final=True))
    order = client.order("cancel_job", job_id)
    client.work_orders()
    assert client.advance_job(job_id).note == "tidy: 1 tasks"
    client.orders("undo_order", order.order_id)
    client.work_orders()
    client.maintain()
    assert [client.stage(job_id, number).status for number in (1, 2)] == ["open", "open"]
    assert client.advance_job(job_id).status == "nothing to make"
    end_task(client, f"{job_id}-s1-1")
    assert client.stage(job_id, 1).repair, "the final stage has begun"
    assert client.due_jobs() == [job_id], "after a repair, too"
    assert client.advance_job(job_id).note == "c: 1 tasks"
    client.end_stage_of(job_id, 3)
    for task in ("s2-1", "s2-2", "s2-3", "s4-1"):
        end_task(client, f"{job_id}-{task}")
    assert client.advance_job(job_id).job_status == "completed"


def test_a_cancelling_that_met_nothing_is_taken_back_and_the_job_goes_on(client: Client) -> None:
    job_id = branches(client)
    client.end_stage_of(job_id, 1)
    client.end_stage_of(job_id, 2)
    order = client.order("cancel_job", job_id)
    assert client.job(job_id).status == "cancelled"
    client.orders("undo_order", order.order_id)
    client.work_orders()
    assert client.due_jobs() == [job_id]
    assert client.advance_job(job_id).note == "c: 1 tasks"


def test_taking_back_and_setting_a_stage_do_not_deadlock(client: Client) -> None:
    job_id = branches(client)
    order = client.order("cancel_job", job_id)
    for _ in range(2):
        client.execute("select stagebus.work_order(%s, 1)", order.order_id)
    assert client.stage(job_id, 1).status == "cancelled"
    assert client.stage(job_id, 2).status == "open"
    setter, keeper = client.session(), client.session()
    with client.transaction():
        # As the other order has it in between its two locks.
        client.rows(
            "select from stagebus_data.stages where job_id = %s and stage = 1 for no key update",
            job_id,
        )
        undoing = setter.in_background(lambda: setter.orders("undo_order", order.order_id))
        client.wait_until_blocked(setter, undoing)
        keeper.rows(
            "select from stagebus_data.jobs where job_id = %s for no key update nowait", job_id
        )
    undoing.result()


@pytest.mark.parametrize("others", [1, 150])
def test_a_job_of_which_many_stages_have_ended_hides_no_other(client: Client, others: int) -> None:
    client.define_job_type([stage(f"s{number}", after=[]) for number in range(100)], "wide")
    client.define_job_type([stage("a")], "narrow")
    wide = client.submit_job("wide")
    client.advance_job(wide)
    for number in range(1, 101):
        client.end_stage_of(wide, number)
    narrow = [client.submit_job("narrow") for _ in range(others)]
    assert set(client.due_jobs(100)) == {wide, *narrow[:99]}


def test_nothing_begins_after_a_stage_whose_retry_is_ordered_and_not_worked_off(
    client: Client,
) -> None:
    job_id = branches(client)
    order = client.order("cancel_job", job_id)
    client.work_orders()
    client.orders("undo_order", order.order_id)
    # b's retry is worked off before a's.
    _, second = client.column("select * from stagebus.working_orders() as o (id) order by id")
    client.execute("select stagebus.work_order(%s)", second)
    assert client.job(job_id).status == "running"
    client.advance_job(job_id)
    assert client.plan_progress(job_id)["c"] == "waits", "a is to run again first"
    client.work_orders()
    client.maintain()
    assert not client.stage(job_id, 1).repair
    client.advance_job(job_id)
    assert client.plan_progress(job_id)["c"] == "waits"


def test_a_job_does_not_end_before_a_retry_that_was_ordered(client: Client) -> None:
    client.define_job_type([stage("a", 2, tolerated_failures="0")])
    job_id = client.submit_job()
    client.advance_job(job_id)
    client.end_stage_of(job_id, 1, failing=2)
    client.order("retry_tasks", job_id, 1)
    assert client.advance_job(job_id).job_status == "running"
    client.work_orders()
    client.maintain()
    assert client.advance_job(job_id).job_status == "running"


def test_a_retry_that_is_stopped_lets_the_job_go_on(client: Client) -> None:
    client.define_job_type([stage("a", 2), stage("b")])
    job_id = client.submit_job()
    client.advance_job(job_id)
    client.end_stage_of(job_id, 1, failing=1)
    order = client.order("retry_tasks", job_id, 1)
    assert client.advance_job(job_id).status == "nothing to make"
    assert client.due_jobs() == []
    client.order("stop_order", order.order_id)
    assert client.due_jobs() == [job_id]
    assert client.advance_job(job_id).note == "b: 1 tasks"


def test_a_retry_whose_steps_are_slower_than_workers_holds_back_what_waits(client: Client) -> None:
    client.define_job_type([stage("a", 4, tolerated_failures="2"), stage("b")])
    job_id = client.submit_job()
    client.advance_job(job_id)
    client.end_stage_of(job_id, 1, failing=3)
    assert client.advance_job(job_id).job_status == "failed"
    order = client.order("retry_tasks", job_id, 1)
    for _ in range(3):
        client.execute("select stagebus.work_order(%s, 1)", order.order_id)
        client.maintain()
        (task_id,) = client.column(
            "select task_id from stagebus.tasks where job_id = %s and status = 'pending_queue'",
            job_id,
        )
        end_task(client, task_id)
        assert client.advance_job(job_id).status == "nothing to make", "of four, one or two failed"
    client.work_orders()
    assert client.stage(job_id).status == "completed"
    assert client.advance_job(job_id).note == "b: 1 tasks"


def failing_to_tidy(client: Client) -> UUID:
    """A cancelled job of which all is over, but whose final stage cannot be made."""
    client.define_job_type([stage("a"), stage("tidy", "$.parameters.lacking", final=True)])
    job_id = client.submit_job()
    client.advance_job(job_id)
    client.order("cancel_job", job_id)
    client.work_orders()
    assert client.advance_job(job_id).status == "failed", "and so for ever: its plan stays its own"
    return job_id


def test_a_job_whose_final_stage_cannot_be_made_is_given_up_by_a_second_cancelling(
    client: Client,
) -> None:
    job_id = failing_to_tidy(client)
    why = client.value("select why from stagebus.jobs where job_id = %s", job_id)
    assert why.endswith("; cancel_job once more gives it up")
    preview = client.order("cancel_job", job_id, dry_run=True)
    assert preview.note == "the job ends without its final stage, which cannot be made"
    assert client.job(job_id).status == "running"
    order = client.order("cancel_job", job_id)
    assert order.status == "done"
    assert client.job(job_id).status == "cancelled"
    assert client.due_jobs() == []
    with pytest.raises(psycopg.errors.Error, match="cannot be cancelled") as refusal:
        client.order("cancel_job", job_id)
    assert refusal.value.sqlstate == "SB120"


def test_giving_up_a_final_stage_can_be_undone(client: Client) -> None:
    job_id = failing_to_tidy(client)
    order = client.order("cancel_job", job_id)
    client.orders("undo_order", order.order_id)
    assert client.job(job_id).status == "running"
    assert client.advance_job(job_id).status == "failed", "it is tried again"


def test_a_job_that_waits_for_its_final_stage_is_not_cancelled_twice(client: Client) -> None:
    client.define_job_type([stage("a"), stage("tidy", final=True)])
    job_id = client.submit_job()
    client.advance_job(job_id)
    client.order("cancel_job", job_id)
    client.work_orders()
    for _ in range(2):
        with pytest.raises(psycopg.errors.Error, match="It is being cancelled already"):
            client.order("cancel_job", job_id)
        client.advance_job(job_id)
    assert client.plan_progress(job_id)["tidy"] == "open"
