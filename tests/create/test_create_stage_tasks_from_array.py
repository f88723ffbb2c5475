"""create_stage_tasks_from_array: one task per object."""

from __future__ import annotations

from uuid import UUID

import pytest

from tests.client import Client


@pytest.fixture
def job_id(client: Client) -> UUID:
    return client.create_job()


def test_tasks_stand_in_the_order_of_the_array(client: Client, job_id: UUID) -> None:
    tasks = [{"place": name} for name in ("Zug", "Aarau", "Bern")]
    client.create_stage_tasks_from_array(job_id, 1, "h3_hexagon", tasks)
    assert [message.content["parameters"] for message in client.publish()] == tasks


def test_a_null_array_is_refused(client: Client, job_id: UUID) -> None:
    with client.refused("SB110"):
        client.create_stage_tasks_from_array(job_id, 1, "h3_hexagon", None)


def test_every_element_is_an_object(client: Client, job_id: UUID) -> None:
    for element, kind in (
        (None, "null"),
        ([], "array"),
        ("text", "string"),
        (5, "number"),
        (False, "boolean"),
    ):
        with client.refused("SB110") as caught:
            client.create_stage_tasks_from_array(job_id, 1, "h3_hexagon", [{}, {}, element, None])
        assert "task 3 " in str(caught.value.diag.message_primary)
        assert f"JSON {kind}" in str(caught.value.diag.message_detail)


def test_the_number_of_a_refused_task_counts_what_the_stage_has(
    client: Client, job_id: UUID
) -> None:
    client.create_stage_tasks(job_id, task_count=7, seal=False)
    with client.refused("SB110") as caught:
        client.create_stage_tasks_from_array(job_id, 1, "h3_hexagon", [{}, None])
    assert "task 9 " in str(caught.value.diag.message_primary)


def test_the_biggest_message_is_named_when_it_cannot_fit(client: Client, job_id: UUID) -> None:
    tasks = [{"text": "x"}, {"text": "x" * 300_000}, {"text": "xx"}]
    with client.refused("SB111") as caught:
        client.create_stage_tasks_from_array(job_id, 1, "h3_hexagon", tasks)
    assert "task 2 " in str(caught.value.diag.message_primary)


def test_an_empty_array_makes_a_stage_that_completes_at_once(client: Client, job_id: UUID) -> None:
    now = client.stop_clock()
    summary = client.create_stage_tasks_from_array(job_id, 1, "h3_hexagon", [])
    assert (summary.tasks, summary.batches, summary.bytes) == (0, 0, 0)
    stage = client.stage(job_id)
    assert (stage.status, stage.sealed_at, stage.ended_at) == ("completed", now, now)
    assert client.due_advances() == [(job_id, 1)]
    assert client.claim_batches(1) == []


def test_an_empty_array_may_leave_the_stage_filling(client: Client, job_id: UUID) -> None:
    client.create_stage_tasks_from_array(job_id, 1, "h3_hexagon", [], seal=False)
    assert client.stage(job_id).status == "filling"
    assert client.append_tasks(job_id, 1, None) == 0
    assert client.append_tasks(job_id, 1, [{"n": 1}, {}]) == 2
    assert client.append_numbered_tasks(job_id, 1, 3) == 5
    assert client.seal_stage(job_id).tasks == 5
