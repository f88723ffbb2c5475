"""How a stage ends: what it tolerates, its deadline, what its failure does, and reopening."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from tests.client import MINUTE, Client, PublishedStage

TOKEN = UUID(int=1)


def ended(client: Client, tasks: int, failures: int, **policy: object) -> PublishedStage:
    """A stage of which so many tasks have failed and the others completed."""
    client.set_task_type("work", **policy)
    published = client.published_stage(tasks, "work")
    ids = published.task_ids
    client.start_all(published.messages, TOKEN)
    client.complete_tasks(ids[failures:], TOKEN)
    client.fail_tasks(ids[:failures], TOKEN, ["why"] * failures, retry=False)
    return published


@pytest.mark.parametrize(
    ("tolerated", "failures", "state"),
    [
        ("100%", 20, "completed_with_errors"),
        ("0", 0, "completed"),
        ("0", 1, "failed"),
        ("3", 3, "completed_with_errors"),
        ("3", 4, "failed"),
        ("15%", 3, "completed_with_errors"),
        ("15%", 4, "failed"),
        ("17.5%", 3, "completed_with_errors"),
        ("17.5%", 4, "failed"),
    ],
)
def test_more_failures_than_it_tolerates_fail_a_stage_and_its_job(
    client: Client, tolerated: str, failures: int, state: str
) -> None:
    published = ended(client, 20, failures, tolerated_failures=tolerated)
    assert client.stage(published.job_id).status == state
    failed = state == "failed"
    assert client.job(published.job_id).status == ("failed" if failed else "running")
    assert client.due_advances() == ([] if failed else [(published.job_id, 1)])


def test_a_failed_stage_may_leave_its_job_to_an_operator(client: Client) -> None:
    published = ended(client, 4, 2, tolerated_failures="1", on_failure="wait")
    assert client.stage(published.job_id).status == "failed"
    assert client.job(published.job_id).status == "running"
    assert client.due_advances() == []
    order = client.order("set_stage", published.job_id, 1, tolerated_failures="2", reason="fine")
    assert order.note == "the stage is completed_with_errors now"
    assert client.due_advances() == [(published.job_id, 1)]


def test_tolerating_more_afterwards_brings_a_failed_job_back(client: Client) -> None:
    published = ended(client, 4, 2, tolerated_failures="1")
    assert client.job(published.job_id).status == "failed"
    client.order("set_stage", published.job_id, 1, tolerated_failures="50%")
    assert client.stage(published.job_id).status == "completed_with_errors"
    assert client.job(published.job_id).status == "running"
    assert client.due_advances() == [(published.job_id, 1)]


def test_a_failed_stage_that_waited_may_fail_its_job_afterwards(client: Client) -> None:
    published = ended(client, 4, 2, tolerated_failures="1", on_failure="wait")
    dry = client.order("set_stage", published.job_id, 1, on_failure="fail_job", dry_run=True)
    assert (dry.order_id, dry.note) == (None, "its job has failed now")
    assert client.job(published.job_id).status == "running"
    order = client.order("set_stage", published.job_id, 1, on_failure="fail_job")
    assert order.note == "its job has failed now"
    assert client.job(published.job_id).status == "failed"


def test_a_cancelled_job_is_not_brought_back_by_judging_its_stage_again(client: Client) -> None:
    published = ended(client, 4, 2, tolerated_failures="1", on_failure="wait")
    client.order("cancel_job", published.job_id)
    with client.refused("SB120"):
        client.order("set_stage", published.job_id, 1, tolerated_failures="2")
    assert client.job(published.job_id).status == "cancelled"
    dry = client.order("retry_tasks", published.job_id, 1, dry_run=True)
    assert dry.note == "the stage reopens, and its job, which is cancelled, runs again"


@pytest.mark.parametrize("tolerated", ["", "-1", "101%", "1.5", "5 %", "x", "99.9999999%"])
def test_a_tolerance_is_a_number_or_a_percentage(client: Client, tolerated: str) -> None:
    published = client.published_stage(1)
    with client.refused("SB116"):
        client.order("set_stage", published.job_id, 1, tolerated_failures=tolerated)
    with client.refused("SB116"):
        client.set_task_type("work", tolerated_failures=tolerated)


def test_a_deadline_cancels_what_is_left_and_fails_the_stage(client: Client) -> None:
    client.stop_clock()
    client.set_task_type("work", stage_timeout="1 hour")
    published = client.published_stage(3, "work")
    client.start(published.messages[0], TOKEN)
    client.complete_task(published.task_ids[0], TOKEN)
    client.advance(timedelta(minutes=59))
    assert client.row("select * from stagebus.maintain()").overdue_stages == 0
    client.advance(MINUTE)
    round_ = client.row("select * from stagebus.maintain()")
    assert (round_.overdue_stages, len(round_.orders)) == (1, 1), "it is worked off in this round"
    assert client.start(published.messages[1], TOKEN).verdict == "cancelled"
    client.work_orders()
    assert client.stage(published.job_id).status == "failed"
    assert client.job(published.job_id).status == "failed"
    assert client.task_states(published.job_id) == {"completed": 1, "cancelled": 2}
    (order,) = client.rows("select * from stagebus.orders")
    assert (order.action, order.reason) == ("cancel_stage", "its deadline has passed")


def test_a_deadline_can_be_moved_and_taken_away(client: Client) -> None:
    client.stop_clock()
    client.set_task_type("work", stage_timeout="1 hour")
    published = client.published_stage(1, "work")
    later = client.now() + timedelta(hours=3)
    client.order("set_stage", published.job_id, 1, deadline=later)
    client.advance(timedelta(hours=2))
    assert client.row("select * from stagebus.maintain()").overdue_stages == 0
    client.order("set_stage", published.job_id, 1, deadline="infinity")
    assert client.stage(published.job_id).deadline is None
    with client.refused("SB116"):
        client.order("set_stage", published.job_id, 1, deadline=client.now())


def test_a_stage_that_reopens_ends_again_as_if_for_the_first_time(client: Client) -> None:
    published = ended(client, 3, 1)
    client.order("retry_tasks", published.job_id, 1)
    client.work_orders()
    stage = client.stage(published.job_id)
    assert (stage.status, stage.ended_at, stage.repair) == ("open", None, False)
    assert client.due_advances() == []
    with client.refused("SB103"):
        client.create_stage_tasks(published.job_id, 2)
    finish(client)
    assert client.stage(published.job_id).status == "completed"
    assert client.due_advances() == [(published.job_id, 1)]
    client.create_stage_tasks(published.job_id, 2)


def test_a_stage_that_the_job_went_past_is_repaired_and_advances_nothing(client: Client) -> None:
    published = ended(client, 3, 1)
    client.create_stage_tasks(published.job_id, 2)
    client.publish()
    dry = client.order("retry_tasks", published.job_id, 1, dry_run=True)
    assert dry.note.startswith("a repair")
    client.order("retry_tasks", published.job_id, 1)
    client.work_orders()
    assert client.stage(published.job_id).repair
    finish(client)
    assert client.stage(published.job_id).status == "completed"
    assert client.due_advances() == []
    assert len(client.stage_results(published.job_id)) == 3


def test_a_job_that_was_finished_stays_so_when_a_stage_is_repaired(client: Client) -> None:
    published = ended(client, 3, 1)
    assert client.finish_job(published.job_id) == "completed_with_errors"
    client.order("retry_tasks", published.job_id, 1)
    client.work_orders()
    finish(client)
    assert client.stage(published.job_id).status == "completed"
    assert client.job(published.job_id).status == "completed_with_errors"
    assert client.due_advances() == []


def finish(client: Client) -> None:
    """Completes what waits for another attempt."""
    client.maintain()
    messages = [each for each in client.publish() if each.attempt > 1]
    client.start_all(messages, TOKEN)
    client.complete_tasks([message.task_id for message in messages], TOKEN)
