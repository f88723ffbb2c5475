"""task_key: no two tasks of a stage share it, and indexes have no gaps."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from psycopg.types.json import Jsonb

from tests.client import Client


@pytest.fixture
def job_id(client: Client) -> UUID:
    return client.create_job()


def append(client: Client, job_id: UUID, keys: list[Any], on_conflict: str = "error") -> int:
    tasks = [{"k": key, "n": n} for n, key in enumerate(keys)]
    return int(
        client.value(
            "select tasks from stagebus.create_stage_tasks_from_array(%s, 1, 'h3_hexagon',"
            " %s::jsonb[], seal => false, task_key => 'k', on_conflict => %s)",
            job_id,
            [Jsonb(task) for task in tasks],
            on_conflict,
        )
    )


def stored(client: Client, job_id: UUID) -> list[tuple[int, Any]]:
    return [
        tuple(row)
        for row in client.rows(
            "select task_index, parameters -> 'k' from stagebus_data.tasks where job_id = %s"
            " order by task_index",
            job_id,
        )
    ]


def test_repeats_are_left_out_and_indexes_have_no_gaps(client: Client, job_id: UUID) -> None:
    assert append(client, job_id, ["a", "b", "a", "c"], "skip") == 3
    assert append(client, job_id, ["b", "d", "d", "a", "e"], "skip") == 5
    assert stored(client, job_id) == [(1, "a"), (2, "b"), (3, "c"), (4, "d"), (5, "e")]


def test_the_first_of_two_with_one_key_is_kept(client: Client, job_id: UUID) -> None:
    append(client, job_id, ["a", "b", "a"], "skip")
    numbers = client.column("select parameters -> 'n' from stagebus_data.tasks order by task_index")
    assert numbers == [0, 1]


@pytest.mark.parametrize("again", [["a", "b", "a"], ["x", "y"], ["b", "x"]])
def test_a_repeat_is_an_error_that_names_the_key_and_nothing_is_left(
    client: Client, job_id: UUID, again: list[str]
) -> None:
    append(client, job_id, ["x"])
    with client.refused("SB122") as caught:
        append(client, job_id, again)
    assert f"the key '{'a' if 'a' in again else 'x'}' is there twice" in str(caught.value)
    assert append(client, job_id, ["y"]) == 2


def test_a_number_and_its_text_are_one_key_and_other_jobs_have_their_own(
    client: Client, job_id: UUID
) -> None:
    assert append(client, job_id, [1, "1", 2], "skip") == 2
    assert append(client, client.create_job(), [1], "error") == 1


@pytest.mark.parametrize("key", [None, True, [], {}, "", "x" * 513])
def test_a_key_is_a_short_string_or_a_number(client: Client, job_id: UUID, key: Any) -> None:
    with client.refused("SB122") as caught:
        append(client, job_id, ["a", key], "skip")
    assert "object 2 of this call has no usable key 'k'" in str(caught.value)


def test_a_query_in_chunks_keeps_its_keys_apart_over_all_of_them(
    client: Client, job_id: UUID
) -> None:
    summary = client.row(
        "select * from stagebus.create_stage_tasks_from_query(%s, 1, 'h3_hexagon',"
        " 'select jsonb_build_object(''k'', n %% 15000) from generate_series(1, 25000) as n',"
        " task_key => 'k', on_conflict => 'skip')",
        job_id,
    )
    assert (summary.tasks, summary.batches) == (15_000, 2)
    assert client.value("select max(task_index) from stagebus_data.tasks") == 15_000


def test_who_uses_no_key_pays_for_none(client: Client, job_id: UUID) -> None:
    client.create_stage_tasks_from_array(job_id, 1, "h3_hexagon", [{"k": 1}, {"k": 1}])
    assert client.count("task_keys") == 0


def test_on_conflict_without_a_key_is_an_error(client: Client, job_id: UUID) -> None:
    with client.refused("SB116"):
        client.execute(
            "select stagebus.create_stage_tasks_from_array(%s, 1, 'h3_hexagon',"
            " array['{}']::jsonb[], on_conflict => 'skip')",
            job_id,
        )
