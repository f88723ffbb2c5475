"""create_stage_tasks_from_query: one task per row of a caller's query."""

from __future__ import annotations

from uuid import UUID

import psycopg
import pytest

from tests.client import Client

EACH = "select jsonb_build_object('n', n) from generate_series(1, %s) as n"


@pytest.fixture
def job_id(client: Client) -> UUID:
    return client.create_job()


@pytest.mark.parametrize("rows", [1, 2, 9_999, 10_000, 10_001, 10_002, 20_001])
def test_each_row_is_a_task_in_the_querys_order(client: Client, job_id: UUID, rows: int) -> None:
    summary = client.create_stage_tasks_from_query(job_id, 1, "h3_hexagon", EACH % rows)
    assert summary.tasks == rows
    assert client.row(
        "select count(*), min(task_index) as first, max(task_index) as last,"
        " bool_and(parameters = jsonb_build_object('n', task_index)) as ordered"
        " from stagebus_data.tasks"
    ) == (rows, 1, rows, True)


def test_no_row_makes_a_stage_that_completes_at_once(client: Client, job_id: UUID) -> None:
    summary = client.create_stage_tasks_from_query(job_id, 1, "h3_hexagon", EACH % 0)
    assert (summary.tasks, summary.batches) == (0, 0)
    assert client.stage(job_id).status == "completed"
    assert client.due_advances() == [(job_id, 1)]


def test_any_query_that_returns_rows_will_do(client: Client, job_id: UUID) -> None:
    for stage, query in enumerate(
        [
            "values ('{\"n\": 1}'::jsonb)",
            "with t as (select 1 as n) select to_jsonb(t) from t",
            "select '{\"n\": 1}'::json",
            "select '{\"n\": 1}'::jsonb  -- the last word",
            "select '{\"n\": 1}'::jsonb;",
            "select '{\"n\": 1}'::jsonb; -- the last word",
            "/* first */ select jsonb_build_object('n', 1) /* last",
            "table pg_temp.one",
        ],
        start=1,
    ):
        if "/* last" in query:
            query += " */"
        client.execute("create temp table if not exists one as select '{\"n\": 1}'::jsonb as j")
        client.create_stage_tasks_from_query(job_id, stage, "h3_hexagon", query)
        (message,) = client.publish()
        assert message.content["parameters"] == {"n": 1}
        client.start_all([message], client.bridge_id)
        client.complete_tasks([message.task_id], client.bridge_id)


def test_a_json_column_is_as_good_in_every_row(client: Client, job_id: UUID) -> None:
    query = "select json_build_object('n', n) from generate_series(1, 3) as n"
    client.create_stage_tasks_from_query(job_id, 1, "h3_hexagon", query)
    assert [m.content["parameters"] for m in client.publish()] == [{"n": 1}, {"n": 2}, {"n": 3}]


def test_the_query_is_there(client: Client, job_id: UUID) -> None:
    with client.refused("SB112"):
        client.create_stage_tasks_from_query(job_id, 1, "h3_hexagon", None)


@pytest.mark.parametrize("rows", [1, 3])
def test_the_query_returns_one_column(client: Client, job_id: UUID, rows: int) -> None:
    for columns, number in (
        ("'{}'::jsonb as a, '{}'::jsonb as b", 2),
        ("'{}'::jsonb, '{}'::jsonb", 2),
        ("'{}'::jsonb as a, '{}'::jsonb as a, 1 as a", 3),
        ("", 0),
    ):
        with client.refused("SB112") as caught:
            client.create_stage_tasks_from_query(
                job_id, 1, "h3_hexagon", f"select {columns} from generate_series(1, {rows})"
            )
        assert f"returns {number} columns" in str(caught.value.diag.message_primary)


@pytest.mark.parametrize("rows", [1, 3])
def test_the_column_holds_objects(client: Client, job_id: UUID, rows: int) -> None:
    for value in ("1", "'text'::text", "'{}'::text", "null", "null::jsonb", "'[]'::jsonb", "true"):
        with client.refused("SB110") as caught:
            client.create_stage_tasks_from_query(
                job_id, 1, "h3_hexagon", f"select {value} from generate_series(1, {rows})"
            )
        assert "task 1 " in str(caught.value.diag.message_primary)


def test_a_row_far_down_is_checked_too(client: Client, job_id: UUID) -> None:
    query = (
        "select case when n = 15000 then 'null' else '{}' end::jsonb"
        " from generate_series(1, 30000) as n"
    )
    with client.refused("SB110") as caught:
        client.create_stage_tasks_from_query(job_id, 1, "h3_hexagon", query)
    assert "task 15000 " in str(caught.value.diag.message_primary)


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("selekt 1", psycopg.errors.SyntaxError),
        ("", psycopg.errors.InvalidCursorDefinition),
        ("select * from nowhere", psycopg.errors.UndefinedTable),
        ("create table t ()", psycopg.errors.InvalidCursorDefinition),
        ("delete from stagebus_data.jobs", psycopg.errors.InvalidCursorDefinition),
        ("select '{}'::jsonb; select '{}'::jsonb", psycopg.errors.InvalidCursorDefinition),
        (
            "select jsonb_build_object('n', 1 / (n - 15000)) from generate_series(1, 20000) as n",
            psycopg.errors.DivisionByZero,
        ),
    ],
)
def test_the_querys_own_error_comes_through_and_nothing_is_left(
    client: Client, job_id: UUID, query: str, error: type[psycopg.Error]
) -> None:
    before = client.contents()
    with pytest.raises(error):
        client.create_stage_tasks_from_query(job_id, 1, "h3_hexagon", query)
    assert client.contents() == before


def test_a_stage_that_is_there_is_skipped_without_running_the_query(
    client: Client, job_id: UUID
) -> None:
    first = client.create_stage_tasks(job_id, task_count=2)
    again = client.create_stage_tasks_from_query(
        job_id, 1, "h3_hexagon", "select 1 / 0", if_exists="skip"
    )
    assert again == first


def test_the_query_sees_what_its_transaction_has_done(client: Client, job_id: UUID) -> None:
    with client.transaction():
        client.execute("create temp table tile (n integer) on commit drop")
        client.execute("insert into tile select generate_series(1, 12)")
        query = "select to_jsonb(tile) from tile order by n"
        assert client.create_stage_tasks_from_query(job_id, 1, "h3_hexagon", query).tasks == 12
