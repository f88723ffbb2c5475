"""What SQL renders for a controller is what JobQueueMessage parses; and it travels like a task."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from bridge.contracts.jobs import JobQueueMessage
from tests.client import Client, Message

#: Text that a careless rendering would not survive.
HOSTILE = '"}, {"\\ \n\t\u0001\u2028 ÿ🜁 %s %1$s {} \\u0041 \'; --'


@pytest.fixture
def announcing(client: Client) -> Client:
    client.set_task_type("work", job_messages=True)
    return client


def told(client: Client) -> list[JobQueueMessage]:
    """The bodies of what goes to the jobs queue now, in order."""
    return [
        JobQueueMessage.model_validate_json(message.body)
        for message in client.publish()
        if "event" in message.content
    ]


def test_the_end_of_a_stage_and_of_its_job_are_told_once_each(announcing: Client) -> None:
    published = announcing.published_stage(3, "work")
    announcing.run_stage(published)
    job_id = published.job_id
    common: dict[str, Any] = {
        "schema_version": 1, "job_id": job_id, "job_type": "tiles", "parameters": {}
    }  # fmt: skip
    assert told(announcing) == [
        JobQueueMessage(event="stage_ended", stage=1, status="completed", **common)
    ]
    announcing.finish_job(job_id)
    assert told(announcing) == [
        JobQueueMessage(event="job_ended", stage=None, status="completed", **common)
    ]
    assert told(announcing) == []


def test_hostile_types_and_parameters_come_through_as_they_are(announcing: Client) -> None:
    parameters = {
        HOSTILE: HOSTILE,
        "deep": [[[[{"a": [None, True]}]]]],
        "exact": Decimal("0.12345678901234567890"),
        "large": 10**300,
    }
    job_id = announcing.value(
        "select stagebus.create_job(%s, %s::jsonb)",
        HOSTILE,
        json.dumps(parameters, default=float).replace(
            "0.12345678901234568", "0.12345678901234567890"
        ),
    )
    announcing.create_stage_tasks_from_array(job_id, 1, "work", [])
    (message,) = told(announcing)
    assert message.job_type == HOSTILE
    assert message.parameters == parameters


@pytest.mark.parametrize(
    ("failures", "tolerated", "events"),
    [
        (1, "100%", [("stage_ended", "completed_with_errors")]),
        (1, "0", [("stage_ended", "failed"), ("job_ended", "failed")]),
    ],
)
def test_how_it_ended_is_told(
    announcing: Client, failures: int, tolerated: str, events: list[tuple[str, str]]
) -> None:
    announcing.set_task_type("work", tolerated_failures=tolerated)
    published = announcing.published_stage(2, "work")
    token = uuid4()
    announcing.start_all(published.messages, token)
    announcing.fail_task(published.task_ids[0], token, retry=False)
    announcing.complete_task(published.task_ids[1], token)
    assert [(message.event, message.status) for message in told(announcing)] == events


def test_a_cancelled_job_is_told_and_a_repair_is_not(announcing: Client) -> None:
    published = announcing.published_stage(2, "work")
    order = announcing.order("cancel_job", published.job_id)
    announcing.work_orders()
    assert [message.event for message in told(announcing)] == ["job_ended"]
    announcing.orders("undo_order", order.order_id)
    announcing.work_orders()
    announcing.maintain()
    finish(announcing)
    assert [message.event for message in told(announcing)] == ["stage_ended"]


def finish(client: Client) -> None:
    token = uuid4()
    messages: list[Message] = client.publish()
    client.start_all(messages, token)
    client.complete_tasks([message.task_id for message in messages], token)


def test_task_types_that_do_not_ask_for_it_tell_nobody(client: Client) -> None:
    published = client.published_stage(1)
    client.run_stage(published)
    client.finish_job(published.job_id)
    assert told(client) == []


def test_parameters_that_no_message_can_carry_are_refused_when_the_job_is_made(
    client: Client,
) -> None:
    client.set_destination("jobs", max_send_bytes=4096)
    with client.refused("SB111"):
        client.create_job(parameters={"x": "y" * 3000})
    client.create_job(parameters={"x": "y" * 2700})


def test_it_is_claimed_like_a_batch_and_published_again_with_another_id(
    announcing: Client,
) -> None:
    announcing.run_stage(announcing.published_stage(1, "work"))
    claim = announcing.claim()
    assert (claim.entity, claim.last_index) == ("jobs", 1)
    (first,) = announcing.batch_messages(claim)
    announcing.finish_batch(claim)
    announcing.order("retry_batch", claim.job_id, claim.batch_id)
    (again,) = announcing.publish()
    assert again.body == first.body
    assert again.message_id != first.message_id
    assert len(again.message_id) <= 128
