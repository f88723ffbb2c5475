"""The models' limits are those that SQL enforces: both are tried at the edges."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, get_args
from uuid import UUID

import psycopg
import pytest
from pydantic import TypeAdapter, ValidationError

from bridge.contracts import base, jobs, tasks
from tests.client import Client

JOB = UUID("0199f000-0000-7000-8000-000000000001")


#: A check, a number beyond its type, and ours.
REFUSALS = {"23514", "22003", "SB103", "SB108", "SB116"}


def sql_takes(client: Client, statements: list[tuple[str, list[Any]]]) -> bool:
    """Whether SQL takes the last of these statements; nothing of them is left."""
    with client.transaction(roll_back=True):
        for statement, arguments in statements[:-1]:
            client.execute(statement, *arguments)
        statement, arguments = statements[-1]
        try:
            client.execute(statement, *arguments)
        except psycopg.Error as error:
            if error.sqlstate in REFUSALS:
                return False
            raise
    return True


def model_takes(annotation: Any, value: Any) -> bool:
    try:
        TypeAdapter(annotation).validate_python(value)
    except ValidationError:
        return False
    return True


def job_type(client: Client, value: str) -> bool:
    return sql_takes(client, [("select stagebus.create_job(%s)", [value])])


def dedupe_key(client: Client, value: str) -> bool:
    return sql_takes(client, [("select stagebus.create_job('x', dedupe_key => %s)", [value])])


def task_type(client: Client, value: str) -> bool:
    return sql_takes(client, [("select stagebus.set_task_type(%s)", [value])])


def stage(client: Client, value: int) -> bool:
    """The table's own rule; that open_stage's is the same, the codes of its errors tell."""
    job_id = client.create_job()
    return sql_takes(client, [(insert_stage("stage"), [job_id, value])])


def nonce(client: Client, value: str) -> bool:
    job_id = client.create_job()
    return sql_takes(client, [(insert_stage("nonce"), [job_id, value])])


def insert_stage(column: str) -> str:
    given = {"stage": "1", "nonce": "'0123456789'", column: "%s"}
    return (
        "insert into stagebus_data.stages (job_id, stage, nonce, task_type, destination,"
        f" created_at) values (%s, {given['stage']}, {given['nonce']}, 'h3_hexagon', 'tasks',"
        " clock_timestamp())"
    )


def attempt(client: Client, value: int) -> bool:
    client.create_stage_tasks(client.create_job())
    return sql_takes(client, [("update stagebus_data.tasks set attempt = %s", [value])])


def task_index(client: Client, value: int) -> bool:
    """The function's rule: the stage has all the tasks before, as far as it knows."""
    client.execute("select stagebus.set_limit('stage_tasks', 999999999)")
    job_id = client.create_job()
    client.create_stage_tasks(job_id, seal=False)
    if value < 1:
        return sql_takes(client, [("update stagebus_data.tasks set task_index = %s", [value])])
    return sql_takes(
        client,
        [
            ("delete from stagebus_data.tasks", []),
            ("update stagebus_data.stages set task_count = %s", [value - 1]),
            ("select stagebus.append_numbered_tasks(%s, 1, 1)", [job_id]),
        ],
    )


Takes = Callable[[Client, Any], bool]

#: For each type: what SQL makes of a value, the last values inside, the first outside.
EDGES: list[tuple[str, Takes, Any, list[Any], list[Any]]] = [
    ("job_type", job_type, base.TypeName, ["x", "x" * 100, "😀" * 100], ["", "x" * 101]),
    ("task_type", task_type, base.TypeName, ["x", "x" * 100, "é" * 100], ["", "x" * 101]),
    (
        "dedupe_key",
        dedupe_key,
        jobs.JobRecord.model_fields["dedupe_key"].annotation,
        ["k", "k" * 512, "😀" * 512],
        ["", "k" * 513],
    ),
    ("stage", stage, base.Stage, [1, 32_767], [-1, 0, 32_768]),
    ("attempt", attempt, tasks.Attempt, [1, 32_767], [-1, 0, 32_768]),
    (
        "task_index",
        task_index,
        tasks.TaskIndex,
        [1, 999_999_999],
        [-1, 0, 1_000_000_000],
    ),
    (
        "nonce",
        nonce,
        tasks.Nonce,
        ["0123456789", "abcdefabcd"],
        ["", "012345678", "01234567890", "ABCDEFABCD", "012345678g", "0123456789\n", "é123456789"],
    ),
]

TRIES = [
    pytest.param(
        takes, annotation, value, inside, id=f"{name} {str(value)[:12]!a} {len(str(value))}"
    )
    for name, takes, annotation, *sides in EDGES
    for inside, values in zip((True, False), sides, strict=True)
    for value in values
]


@pytest.mark.parametrize(("takes", "annotation", "value", "inside"), TRIES)
def test_sql_and_model_agree_at_the_edge(
    client: Client, takes: Takes, annotation: Any, value: Any, inside: bool
) -> None:
    assert takes(client, value) is inside
    assert model_takes(annotation, value) is inside


def test_the_functions_refuse_what_the_tables_refuse(client: Client) -> None:
    job_id = client.create_job()
    for number in (0, 32_768):
        with client.refused("SB103"):
            client.open_stage(job_id, number)


def literals(annotation: Any) -> set[str]:
    return {part for part in get_args(annotation) if isinstance(part, str)}


@pytest.mark.parametrize(
    ("constraint", "annotation", "inherited"),
    [
        ("job_state_is_known", jobs.JobStatus, set()),
        ("stage_state_is_known", base.StageStatus, set()),
        ("task_state_is_known", tasks.TaskStatus, {"pending_queue", "queued"}),
    ],
)
def test_the_states_are_those_of_the_check(
    client: Client, constraint: str, annotation: Any, inherited: set[str]
) -> None:
    (definition,) = set(
        client.column(
            "select pg_get_constraintdef(oid) from pg_constraint where conname = %s", constraint
        )
    )
    assert literals(annotation) == set(re.findall(r"'(\w+)'", definition)) | inherited


def test_what_the_functions_call_an_end_is_an_end_of_the_contract(client: Client) -> None:
    ends = literals(base.EndStatus)
    assert literals(jobs.JobStatus) - ends == {"created", "running"}
    assert literals(base.StageStatus) - ends == {"filling", "provisional", "open"}


@pytest.mark.parametrize("value", ["1", 1.0, True, None, "x"])
def test_a_number_of_a_message_is_a_whole_json_number(value: object) -> None:
    for annotation in (
        base.Stage,
        tasks.TaskIndex,
        tasks.Attempt,
        base.SchemaVersion,
    ):
        assert not model_takes(annotation, value)


def test_a_stage_of_the_highest_numbers_is_rendered_and_read(client: Client) -> None:
    job_id = client.create_job()
    client.create_stage_tasks(job_id)
    (claim,) = client.claim_batches()
    # Without the foreign keys' triggers.
    client.execute("set session_replication_role = replica")
    client.execute(
        "update stagebus_data.stages set stage = 32767;"
        "update stagebus_data.batches set stage = 32767, first_index = 999999999,"
        " last_index = 999999999, published_through = 999999998;"
        "update stagebus_data.tasks set stage = 32767, task_index = 999999999, attempt = 32767"
    )
    (message,) = client.batch_messages(claim)
    model = tasks.TaskQueueMessage.model_validate_json(message.body)
    assert model.task_id == f"{job_id}-s32767-999999999"
    assert (model.stage, model.task_index, model.attempt) == (32_767, 999_999_999, 32_767)
    assert tasks.TaskRecord.model_validate(client.task(model.task_id)._asdict()).attempt == 32_767
    assert len(message.message_id) <= 128
