"""The bytes in a summary are those of the bodies that a bridge will send."""

from __future__ import annotations

from typing import Any

import pytest

from tests.client import Client

COMMON: list[dict[str, Any]] = [{}, {"resolution": 5}, {"index": "x"}, {"index": 0, "a": "é漢"}]


def rendered(client: Client) -> int:
    return sum(len(message.body) for message in client.publish())


@pytest.mark.parametrize("parameters", COMMON)
def test_numbered_tasks_on_both_sides_of_each_digit(
    client: Client, parameters: dict[str, Any]
) -> None:
    for count in (1, 9, 10, 11, 99, 100, 101, 999, 1000, 1001, 9_999, 10_000, 10_001):
        summary = client.create_stage_tasks(
            client.create_job("jöb"), task_count=count, parameters=parameters
        )
        assert summary.bytes == rendered(client), count


def test_numbered_tasks_in_several_calls(client: Client) -> None:
    job_id = client.create_job()
    for count in (5, 4, 1, 90, 7):
        client.create_stage_tasks(job_id, task_count=count, parameters={"a": 1}, seal=False)
    assert client.seal_stage(job_id).bytes == rendered(client)


@pytest.mark.parametrize("parameters", [{}, {"resolution": 5, "bånd": ["r", "g"]}])
def test_objects_of_an_array(client: Client, parameters: dict[str, Any]) -> None:
    tasks = [{"name": "x" * (i % 17), "é": [i, {"deep": None}]} for i in range(1, 1200)]
    summary = client.create_stage_tasks_from_array(
        client.create_job(), 1, "process_raster", tasks, parameters
    )
    assert summary.bytes == rendered(client)


@pytest.mark.parametrize("parameters", [{}, {"resolution": 5}])
def test_rows_of_a_query(client: Client, parameters: dict[str, Any]) -> None:
    query = "select jsonb_build_object('n', n, 'h', md5(n::text)) from generate_series(1, 11000) n"
    summary = client.create_stage_tasks_from_query(
        client.create_job(), 1, "process_raster", query, parameters
    )
    assert summary.bytes == rendered(client)


def test_calls_of_all_forms_on_one_stage(client: Client) -> None:
    job_id = client.create_job()
    for form in ("count", "array", "query", "count"):
        client.create_stage(form, job_id, parameters={"a": 1}, seal=False)
    assert client.seal_stage(job_id).bytes == rendered(client)


def test_keys_that_win_over_common_ones_make_it_an_upper_bound(client: Client) -> None:
    tasks = [{"resolution": 7}, {"resolution": 7, "n": 2}, {}]
    summary = client.create_stage_tasks_from_array(
        client.create_job(), 1, "h3_hexagon", tasks, {"resolution": 5}
    )
    size = rendered(client)
    assert size < summary.bytes <= size + len(tasks) * len('"resolution": 5, ')


@pytest.mark.parametrize("largest_first", [False, True])
def test_a_claim_tells_more_where_a_page_could_be_many_times_too_large(
    client: Client, largest_first: bool
) -> None:
    job_id = client.create_job()
    parts = [[{"geometry": "x" * 100_000}], [{"n": n} for n in range(1000)]]
    client.open_stage(job_id, 1, "h3_hexagon")
    for tasks in parts if largest_first else parts[::-1]:
        client.append_tasks(job_id, 1, tasks)
    average = client.seal_stage(job_id).bytes / 1001
    claim = client.claim()
    largest = max(len(message.body) for message in client.batch_messages(claim))
    assert average < largest / 32
    assert claim.average_body_bytes == pytest.approx(largest / 32, abs=2)


def test_a_claim_tells_the_average(client: Client) -> None:
    summary = client.create_stage_tasks(client.create_job(), task_count=1234)
    assert client.claim().average_body_bytes == summary.bytes // 1234
