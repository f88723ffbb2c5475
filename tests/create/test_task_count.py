"""create_stage_tasks: how many tasks."""

from __future__ import annotations

from tests.client import Client


def test_a_count_out_of_range_is_refused(client: Client) -> None:
    job_id = client.create_job()
    for count in (None, 0, -1, 1_000_000_000, 2**31, 2**63 - 1, -(2**63)):
        with client.refused("SB108"):
            client.create_stage_tasks(job_id, task_count=count)


def test_a_stage_never_has_more_than_999999999_tasks(client: Client) -> None:
    job_id = client.create_job()
    client.create_stage_tasks(job_id, task_count=1, seal=False)
    for count in (999_999_999, 2**63 - 1):
        with client.refused("SB108"):
            client.create_stage_tasks(job_id, task_count=count)
    client.execute("update stagebus_data.stages set task_count = 999999999")
    with client.refused("SB108"):
        client.append_tasks(job_id, 1, [{}])


def test_tasks_are_numbered_from_1_without_gaps(client: Client) -> None:
    job_id = client.create_job()
    client.create_stage_tasks(job_id, task_count=4, seal=False)
    client.create_stage_tasks_from_array(job_id, 1, "h3_hexagon", [{"n": 5}], seal=False)
    client.create_stage_tasks(job_id, task_count=2)
    assert [message.content["parameters"] for message in client.publish()] == [
        {"index": 1},
        {"index": 2},
        {"index": 3},
        {"index": 4},
        {"n": 5},
        {"index": 6},
        {"index": 7},
    ]


def test_numbered_tasks_store_no_parameters(client: Client) -> None:
    client.create_stage_tasks(client.create_job(), task_count=3, parameters={"a": 1})
    assert client.column("select parameters from stagebus_data.tasks") == [None, None, None]
