"""The contracts' fields are the views' columns and the messages' keys; each is described."""

from __future__ import annotations

from types import NoneType
from typing import Any, get_args, get_origin
from uuid import UUID, uuid4

import pytest
from psycopg.rows import dict_row
from pydantic import AwareDatetime
from pydantic.fields import FieldInfo

from bridge.contracts.base import VERSION, Contract
from bridge.contracts.jobs import JobRecord
from bridge.contracts.tasks import TaskQueueMessage, TaskRecord
from bridge.schemas import CONTRACTS
from tests.client import MINUTE, Client

FIELDS = [
    pytest.param(name, field, id=f"{contract.__name__}.{name}")
    for contract in CONTRACTS
    for name, field in contract.model_fields.items()
]

#: The types of a view's column that a field may have.
COLUMN_TYPES: dict[Any, set[str]] = {
    UUID: {"uuid"},
    str: {"text"},
    int: {"integer", "smallint"},
    AwareDatetime: {"timestamp with time zone"},
    dict: {"jsonb"},
    Any: {"jsonb"},
}

VIEWS = [pytest.param("jobs", JobRecord, id="jobs"), pytest.param("tasks", TaskRecord, id="tasks")]


def kind(annotation: Any) -> Any:
    """The one type of a field, without `| None`, its limits, or what a Literal allows."""
    parts = [part for part in get_args(annotation) if part is not NoneType]
    if get_origin(annotation) is dict:
        return dict
    if parts and all(isinstance(part, str) for part in parts):
        return str
    return kind(parts[0]) if parts else annotation


@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_every_field_says_what_it_means_and_who_sets_it(name: str, field: FieldInfo) -> None:
    assert field.description
    assert field.description.endswith(".")
    assert len(field.description) > 15
    assert isinstance(field.json_schema_extra, dict)
    assert field.json_schema_extra["x-set-by"] in {"caller", "SQL", "bridge", "worker"}


@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_a_time_says_that_it_is_utc(name: str, field: FieldInfo) -> None:
    is_time = name.endswith(("_at", "_since", "_until"))
    assert is_time == (kind(field.annotation) is AwareDatetime)
    assert is_time == ("UTC" in str(field.description))


def test_every_contract_has_fields_of_its_own_and_ignores_what_it_does_not_know() -> None:
    assert [contract.__name__ for contract in CONTRACTS] == [
        "JobRecord",
        "TaskRecord",
        "JobQueueMessage",
        "TaskQueueMessage",
    ]
    for contract in CONTRACTS:
        assert contract.model_config["frozen"]
        assert contract.model_config["extra"] == "ignore"


@pytest.mark.parametrize(("view", "contract"), VIEWS)
def test_a_records_fields_are_the_columns_of_its_view(
    client: Client, view: str, contract: type[Contract]
) -> None:
    columns = client.rows(
        "select a.attname, format_type(a.atttypid, a.atttypmod) as type from pg_attribute as a"
        " where a.attrelid = ('stagebus.' || %s)::regclass and a.attnum > 0 order by a.attnum",
        view,
    )
    assert {column.attname for column in columns} == set(contract.model_fields)
    for column in columns:
        annotation = contract.model_fields[column.attname].annotation
        assert column.type in COLUMN_TYPES[kind(annotation)], column.attname


def test_no_view_shows_the_types_of_our_tables(client: Client) -> None:
    assert not client.column(
        "select a.attrelid::regclass || '.' || a.attname from pg_attribute as a"
        " join pg_class as c on c.oid = a.attrelid join pg_type as t on t.oid = a.atttypid"
        " where c.relnamespace = 'stagebus'::regnamespace and t.typtype = 'd'"
    )


def test_a_messages_fields_are_the_keys_of_a_body(client: Client) -> None:
    (message,) = client.published_stage().messages
    assert set(message.content) == set(TaskQueueMessage.model_fields)
    assert message.content["schema_version"] == VERSION


def rows(client: Client, view: str) -> list[dict[str, Any]]:
    with client.connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(f"select * from stagebus.{view}").fetchall()  # type: ignore[arg-type]


def lives_of_tasks(client: Client) -> None:
    """Tasks of every status, and jobs of every one that can be reached."""
    client.stop_clock()
    client.set_task_type("work", batch_size=2, timeout="1 minute", max_attempts=1)
    client.create_job("bare", {"a": [1, {}]}, dedupe_key="k")
    filling = client.create_job()
    client.create_stage_tasks(filling, task_count=2, seal=False)
    published = client.published_stage(4, "work", {"zoom": 5})
    client.start_all(published.messages[:2], uuid4())
    client.advance(2 * MINUTE)
    client.end_lost_attempts()
    client.set_task_type("work", max_attempts=3)
    client.start(published.messages[2], uuid4(), worker="w")
    client.advance(2 * MINUTE)
    client.end_lost_attempts()
    client.start(published.messages[3], token := uuid4(), worker="w")
    done = client.published_stage([{"own": None}])
    client.start_all(done.messages, token)
    client.complete_task(done.task_ids[0], token, {"area": 7})
    ended = client.published_stage()
    client.run_stage(ended)
    client.finish_job(ended.job_id)
    client.published_stage()
    stopped = client.published_stage()
    client.execute(
        "update stagebus_data.tasks set state = 'cancelled' where job_id = %s", stopped.job_id
    )
    client.create_stage_tasks(client.create_job(), task_count=1)


@pytest.mark.parametrize(("view", "contract"), VIEWS)
def test_every_row_is_a_record_with_the_same_values(
    client: Client, view: str, contract: type[Contract]
) -> None:
    lives_of_tasks(client)
    found = rows(client, view)
    for row in found:
        assert contract.model_validate(row).model_dump() == row
    statuses = {row["status"] for row in found}
    if view == "tasks":
        assert len(statuses) == 7, "every status of a task"
    else:
        assert statuses == {"created", "running", "completed"}


@pytest.mark.parametrize(("view", "contract"), VIEWS)
def test_a_row_as_json_is_the_same_record(
    client: Client, view: str, contract: type[Contract]
) -> None:
    client.execute("set timezone = 'Asia/Kathmandu'")
    lives_of_tasks(client)
    for row, text in zip(
        rows(client, view),
        client.column(f"select to_jsonb(r)::text from stagebus.{view} as r"),
        strict=True,
    ):
        assert contract.model_validate_json(text) == contract.model_validate(row)


def test_a_time_without_a_zone_is_refused(client: Client) -> None:
    client.create_job()
    (row,) = rows(client, "jobs")
    with pytest.raises(ValueError, match="timezone"):
        JobRecord.model_validate({**row, "created_at": row["created_at"].replace(tzinfo=None)})
