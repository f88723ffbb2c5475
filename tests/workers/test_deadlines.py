"""The deadline of a stage: when it is looked at, and what is left of it after a reopening."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from tests.client import MINUTE, Client

TOKEN = UUID(int=1)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def an_hour(client: Client) -> None:
    client.stop_clock()
    client.set_task_type("work", stage_timeout="1 hour")


def ordered_ends(client: Client) -> int:
    """How many stages a round of maintenance finds overdue."""
    overdue: int = client.row("select * from stagebus.maintain()").overdue_stages
    return overdue


def test_the_end_of_an_overdue_stage_is_ordered_once(client: Client) -> None:
    client.published_stage(2, "work")
    client.advance(HOUR)
    assert [ordered_ends(client) for _ in range(3)] == [1, 0, 0]
    assert client.count("orders") == 1


def test_a_stage_that_is_being_filled_is_not_overdue_before_it_is_sealed(client: Client) -> None:
    job_id = client.create_job()
    client.create_stage_tasks(job_id, 1, "work", 2, seal=False)
    client.order("set_stage", job_id, 1, deadline=client.now() + MINUTE)
    client.advance(MINUTE)
    assert ordered_ends(client) == 0
    assert client.append_numbered_tasks(job_id, 1, 1) == 3
    client.seal_stage(job_id)
    assert ordered_ends(client) == 1


@pytest.mark.parametrize("passed", [False, True])
def test_a_stage_that_reopens_keeps_a_deadline_that_lies_ahead(
    client: Client, passed: bool
) -> None:
    published = client.published_stage(2, "work")
    deadline = client.stage(published.job_id).deadline
    client.start_all(published.messages, TOKEN)
    client.fail_tasks(published.task_ids, TOKEN, ["why"] * 2, retry=False)
    client.advance(HOUR if passed else MINUTE)
    client.order("retry_tasks", published.job_id, 1)
    client.work_orders()
    stage = client.stage(published.job_id)
    assert (stage.status, stage.deadline) == ("open", None if passed else deadline)
    assert ordered_ends(client) == 0


def test_an_end_that_an_operator_stops_is_not_ordered_again(client: Client) -> None:
    published = client.published_stage(2, "work")
    client.advance(HOUR)
    assert ordered_ends(client) == 1
    client.order("stop_order", client.value("select order_id from stagebus.orders"))
    assert ordered_ends(client) == 0
    assert client.stage(published.job_id).deadline is None
