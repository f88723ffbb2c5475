"""What operators may do with a stage that is being published, or withdrawn."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from tests.client import MINUTE, Client


@pytest.fixture
def small(client: Client) -> Client:
    client.stop_clock()
    client.set_task_type("small", batch_size=2, start_timeout=timedelta(seconds=10))
    return client


def test_cancelling_the_stage_withdraws_it(small: Client) -> None:
    told = small.provisional_stage(3, "small")
    dry = small.order("cancel_stage", told.job_id, 1, dry_run=True)
    assert (dry.action, dry.status, dry.tasks) == ("withdraw_stage", "dry run", 3)
    assert small.publication(told.job_id).status == "waiting"
    order = small.order("cancel_stage", told.job_id, 1, reason="a mistake")
    assert (order.action, order.status, order.tasks) == ("withdraw_stage", "working", 3)
    assert small.publication(told.job_id).reason == "a mistake"
    with small.refused("SB120") as refused:
        small.order("cancel_stage", told.job_id, 1)
    assert "being withdrawn" in str(refused.value)
    small.work_orders()
    assert small.job(told.job_id).status == "created"


def test_cancelling_the_job_withdraws_it_and_the_job_ends_with_it(small: Client) -> None:
    told = small.provisional_stage(3, "small")
    order = small.order("cancel_job", told.job_id, reason="a mistake")
    assert (order.tasks, order.status) == (0, "done")
    reason = f"order {order.order_id} cancels its job: a mistake"
    assert small.publication(told.job_id).reason == reason
    assert small.job(told.job_id).status == "running"
    small.work_orders()
    assert small.job(told.job_id).status == "cancelled"
    assert small.count("stages") == 0


@pytest.mark.parametrize("meanwhile", [True, False], ids=["before it is gone", "after"])
def test_a_job_whose_only_stage_was_withdrawn_is_as_before_it(
    small: Client, meanwhile: bool
) -> None:
    job_id = small.create_job()
    before = small.job(job_id)
    small.provisional_stage(3, "small", job_id)
    order = small.order("cancel_job", job_id)
    if not meanwhile:
        small.work_orders()
        assert small.job(job_id).status == "cancelled"
    small.orders("undo_order", order.order_id)
    small.work_orders()
    assert small.job(job_id) == before


def test_a_cancelling_of_the_job_that_is_undone_meanwhile(small: Client) -> None:
    published = small.published_stage(2, "small")
    small.run_stage(published)
    told = small.provisional_stage(3, "small", published.job_id, 2)
    order = small.order("cancel_job", told.job_id)
    small.orders("undo_order", order.order_id)
    small.work_orders()
    # The stage stays withdrawn: whoever published it was told no.
    assert small.publication(told.job_id, 2).status == "withdrawn"
    assert small.job(told.job_id).status == "running"
    assert small.due_advances() == [(told.job_id, 1)]


def test_stopping_the_cancelling_of_the_job_stops_no_withdrawal(small: Client) -> None:
    published = small.published_stage(3, "small")
    token = uuid4()
    small.start_all(published.messages, token)
    small.fail_tasks(published.task_ids, token, ["no luck"] * 3, retry=False)
    told = small.provisional_stage(3, "small", published.job_id, 2)
    # A retry of the stage before, so that the cancelling has something to do.
    small.order("retry_tasks", told.job_id, 1)
    (retrying,) = small.column("select * from stagebus.working_orders()")
    small.order("work_order", retrying)
    order = small.order("cancel_job", told.job_id)
    assert order.tasks == 3
    small.order("stop_order", order.order_id)
    assert small.publication(told.job_id, 2).status == "withdrawn"
    assert small.stage(told.job_id).ending is None
    small.work_orders()
    assert small.job(told.job_id).status == "running"
    assert [s.stage for s in small.rows("select stage from stagebus.stages")] == [1]


def test_a_withdrawal_is_neither_stopped_nor_undone(small: Client) -> None:
    told = small.provisional_stage(3, "small")
    order_id = small.withdraw_stage(told.job_id).order_id
    for function in ("stop_order", "undo_order"):
        with small.refused("SB120"):
            small.order(function, order_id)
    small.work_orders()
    with small.refused("SB120"):
        small.order("undo_order", order_id)


def test_its_tasks_and_batches_are_not_retried(small: Client) -> None:
    told = small.provisional_stage(4, "small")
    one, two = small.claim_batches(2)
    small.finish_batch(one)
    with small.refused("SB120"):
        small.order("retry_tasks", told.job_id, 1)
    for claim in (one, two):
        with small.refused("SB120") as refused:
            small.order("retry_batch", told.job_id, claim.batch_id)
        assert "provisional" in str(refused.value)
    small.finish_batch(two)
    assert small.order("retry_batch", told.job_id, one.batch_id).status == "done"


def test_a_batch_that_is_held_costs_the_time_of_the_publication(small: Client) -> None:
    told = small.provisional_stage(4, "small")
    batch_id = small.batches(told.job_id)[0].batch_id
    small.order("hold_batch", told.job_id, batch_id)
    small.publish()
    assert small.publication(told.job_id).status == "waiting"
    small.advance(MINUTE)
    small.maintain()
    with small.refused("SB120") as refused:
        small.order("unhold_batch", told.job_id, batch_id)
    assert "being withdrawn" in str(refused.value)
    small.work_orders()
    assert small.count("batches") == 0


def test_what_nobody_could_start_is_not_published_again(small: Client) -> None:
    told = small.provisional_stage(4, "small", timeout=timedelta(minutes=10))
    one, two = small.claim_batches(2)
    small.finish_batch(one)
    for _ in range(3):
        small.advance(timedelta(seconds=11))
        assert small.value("select republished_batches from stagebus.maintain()") == 0
    assert small.batch(one).state == "queued"
    small.finish_batch(two)
    assert small.publication(told.job_id).status == "confirmed"
    small.advance(timedelta(seconds=11))
    assert small.value("select republished_batches from stagebus.maintain()") == 2


def test_what_is_to_be_published_once_is_not_published_again(small: Client) -> None:
    told = small.provisional_stage(4, "small", timeout=timedelta(minutes=10))
    one, two = small.claim_batches(2)
    small.finish_batch(one)
    small.set_task_type("small", start_timeout=timedelta())
    for claim in (one, two):
        small.advance(timedelta(seconds=11))
        assert small.value("select republished_batches from stagebus.maintain()") == 0
        assert small.batch(one).state == "queued"
        small.finish_batch(claim)
    assert small.publication(told.job_id).status == "confirmed"


def test_a_deadline_that_passes_meanwhile_ends_it_after_the_confirmation(small: Client) -> None:
    told = small.provisional_stage(2, "small", timeout=timedelta(minutes=10))
    small.order("set_stage", told.job_id, 1, deadline=small.now() + MINUTE)
    small.advance(MINUTE * 2)
    assert small.value("select overdue_stages from stagebus.maintain()") == 0
    assert small.publication(told.job_id).status == "waiting"
    small.publish()
    assert small.value("select overdue_stages from stagebus.maintain()") == 1
    small.work_orders()
    assert small.stage(told.job_id).status == "failed"
