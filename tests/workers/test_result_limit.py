"""complete_tasks and results that are too large: 65,536 bytes of text, at the edge and over it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from bridge.task_calls import LONGEST_SENT
from tests.client import Client, PublishedStage

TOKEN = UUID(int=1)
LIMIT = 65_536

#: A result whose text has so many bytes, the quotes included: of one, two, three and four bytes
#: a character, and of characters that are written as an escape of six.
SIZED = {
    "ascii": "x",
    "latin": "é",
    "han": "漢",
    "astral": "😀",
    "escaped": "\x01",
}


def sized(kind: str, size: int) -> str:
    character = SIZED[kind]
    width = 6 if character == "\x01" else len(character.encode())
    room = size - 2
    return character * (room // width) + "x" * (room % width)


@pytest.fixture
def started(client: Client) -> PublishedStage:
    """A stage of five tasks that all run."""
    published = client.published_stage(tasks=5)
    client.start_all(published.messages, TOKEN)
    return published


@pytest.mark.parametrize("kind", SIZED)
def test_a_result_may_have_65536_bytes_of_text_and_no_more(
    client: Client, started: PublishedStage, kind: str
) -> None:
    task_id = started.task_ids[1]
    largest = sized(kind, LIMIT)
    with client.refused("SB117") as caught:
        client.complete_task(task_id, TOKEN, sized(kind, LIMIT + 1))
    said = caught.value.diag
    assert said.message_primary == f"the result of task {task_id} is too large"
    assert said.message_detail == "It has 65537 bytes as text; a result has at most 65536."
    assert "Store it elsewhere" in str(said.message_hint)
    assert client.complete_task(task_id, TOKEN, largest) == "completed"
    assert client.stage_results(started.job_id) == [(2, largest)]


def test_one_result_that_is_too_large_refuses_the_call_and_is_named_first(
    client: Client, started: PublishedStage
) -> None:
    large, larger = sized("ascii", LIMIT + 1), sized("ascii", 10 * LIMIT)
    results: list[Any] = [1, None, larger, large, 2]
    with client.refused("SB117") as caught:
        client.complete_tasks(started.task_ids, TOKEN, results)
    assert caught.value.diag.message_primary == (
        f"the result of task {started.task_ids[2]} is too large"
    )
    assert f"{10 * LIMIT} bytes" in str(caught.value.diag.message_detail)
    assert client.task_states(started.job_id) == {"processing": 5}
    results[2] = results[3] = "in the table of tiles"
    assert set(client.complete_tasks(started.task_ids, TOKEN, results)) == {"completed"}
    assert client.stage(started.job_id).status == "completed"


def test_the_limit_is_each_results_and_not_the_calls(
    client: Client, started: PublishedStage
) -> None:
    largest = sized("ascii", LIMIT)
    assert client.complete_tasks(started.task_ids, TOKEN, [largest] * 5) == ["completed"] * 5


def test_what_is_written_out_counts_and_not_what_is_stored(
    client: Client, started: PublishedStage
) -> None:
    """A number takes a few bytes of jsonb, and a digit each when it is read."""
    ids = started.task_ids
    complete = "select stagebus.complete_task(%s, %s, %s::jsonb)"
    with client.refused("SB117") as caught:
        client.execute(complete, ids[0], TOKEN, f"1e{LIMIT}")
    assert f"{LIMIT + 1} bytes" in str(caught.value.diag.message_detail)
    assert client.value(complete, ids[0], TOKEN, f"1e{LIMIT - 1}") == "completed"
    # Many members take more room as jsonb than as text.
    wide = str(list(range(10, 20)) * 1600)
    assert len(wide) <= LIMIT < client.value("select pg_column_size(%s::jsonb)", wide)
    assert client.value(complete, ids[1], TOKEN, wide) == "completed"


def test_a_large_result_of_a_task_that_is_not_the_callers_is_refused_too(
    client: Client, started: PublishedStage
) -> None:
    large = sized("ascii", LIMIT + 1)
    for task_id in ("no id", started.task_ids[0].replace("-s1-1", "-s1-9"), None):
        with client.refused("SB117"):
            client.complete_task(task_id, UUID(int=2), large)


def test_the_worker_knows_the_limit_of_sql(client: Client) -> None:
    limit = client.value("select stagebus.result_limit()")
    assert (limit, LONGEST_SENT) == (LIMIT, 3 * LIMIT)
