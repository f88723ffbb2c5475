"""docs/schemas/ holds the contracts' JSON Schemas, and a validator of others' making agrees."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError

from bridge import schemas
from bridge.contracts.base import Contract
from bridge.contracts.jobs import JobQueueMessage, JobRecord
from bridge.contracts.tasks import TaskQueueMessage, TaskRecord
from bridge.schemas import CONTRACTS
from tests.client import Client
from tests.contracts.rendered import render
from tests.contracts.test_hostile_parameters import TEXTS, nested

RENEW = 'RENEW_SCHEMAS=1 make test ARGS="-k kept_schemas"'

each = pytest.mark.parametrize("contract", CONTRACTS)

formats = FormatChecker(formats=["uuid"])


@formats.checks("date-time", raises=ValueError)
def _is_a_time(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


def validator(contract: type[Contract]) -> Draft202012Validator:
    """By the committed file, as a worker in another language uses it."""
    schema = json.loads((schemas.FOLDER / schemas.file_name(contract)).read_text("utf-8"))
    return Draft202012Validator(schema, format_checker=formats)


def test_the_kept_schemas_are_current(tmp_path: Path) -> None:
    if os.environ.get("RENEW_SCHEMAS"):
        schemas.write(schemas.FOLDER)
    schemas.write(tmp_path)
    kept = {path.name: path.read_text("utf-8") for path in schemas.FOLDER.iterdir()}
    made = {path.name: path.read_text("utf-8") for path in tmp_path.iterdir()}
    assert kept == made, f"if the change is meant: {RENEW}"


@each
def test_a_schema_is_one_of_draft_2020_12_and_says_what_it_describes(
    contract: type[Contract],
) -> None:
    schema = schemas.schema_of(contract)
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"] == contract.__name__
    assert schema["description"] == contract.__doc__
    assert set(schema["properties"]) == set(contract.model_fields)
    for field in schema["properties"].values():
        assert field["description"]
        assert field["x-set-by"]


def test_every_schema_has_an_id_of_its_own() -> None:
    ids = [schemas.schema_of(contract)["$id"] for contract in CONTRACTS]
    assert ids == [
        "urn:stagebus:schema:job-record:1",
        "urn:stagebus:schema:task-record:1",
        "urn:stagebus:schema:job-queue-message:1",
        "urn:stagebus:schema:task-queue-message:1",
    ]


def test_a_rendered_body_is_valid(client: Client) -> None:
    valid = validator(TaskQueueMessage)
    rendered = render(
        client,
        [{"text": text, "deep": nested(50)} for text in TEXTS],
        {"n": 10**300},
        job_type="%s \"'\\ é😀",
    )
    for message in rendered.messages:
        valid.validate(json.loads(message.body))
    for message in client.published_stage(3).messages:
        valid.validate(json.loads(message.body))


def test_a_row_as_json_is_valid(client: Client) -> None:
    client.create_job("bare", {"a": 1}, dedupe_key="k")
    client.run_stage(client.published_stage(2))
    client.published_stage(2)
    client.create_stage_tasks(client.create_job(), seal=False)
    stage = {"name": "a", "task_type": "h3_hexagon", "count": "$.parameters.n"}
    client.define_job_type([stage])
    assert client.advance_job(client.submit_job()).status == "failed"
    for contract, view in ((JobRecord, "jobs"), (TaskRecord, "tasks")):
        valid = validator(contract)
        texts = client.column(f"select to_jsonb(r)::text from stagebus.{view} as r")
        assert len(texts) == 5
        for text in texts:
            valid.validate(json.loads(text))


BODY: dict[str, Any] = {
    "schema_version": 1,
    "task_id": "0199f000-0000-7000-8000-00000000000a-s2-30",
    "job_id": "0199f000-0000-7000-8000-00000000000a",
    "job_type": "tiles",
    "stage": 2,
    "task_index": 30,
    "task_type": "work",
    "attempt": 1,
    "nonce": "0123456789",
    "batch_id": "0199f000-0000-7000-8000-00000000000a",
    "parameters": {},
}


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": 0},
        {"schema_version": "1"},
        {"task_id": "no id"},
        {"job_id": "no id"},
        {"job_type": ""},
        {"job_type": "x" * 101},
        {"stage": 0},
        {"stage": 32_768},
        {"stage": 1.5},
        {"task_index": 0},
        {"task_index": 1_000_000_000},
        {"task_type": None},
        {"attempt": 0},
        {"attempt": 32_768},
        {"nonce": "ABCDEFABCD"},
        {"batch_id": None},
        {"parameters": []},
        {"parameters": None},
    ],
    ids=str,
)
def test_schema_and_model_refuse_the_same(change: dict[str, Any]) -> None:
    valid = validator(TaskQueueMessage)
    valid.validate(BODY)
    TaskQueueMessage.model_validate(BODY)
    with pytest.raises(ValidationError):
        valid.validate({**BODY, **change})
    with pytest.raises(ValueError, match=next(iter(change))):
        TaskQueueMessage.model_validate({**BODY, **change})


@pytest.mark.parametrize("missing", BODY)
def test_schema_and_model_want_every_key(missing: str) -> None:
    body = {key: value for key, value in BODY.items() if key != missing}
    with pytest.raises(ValidationError, match=missing):
        validator(TaskQueueMessage).validate(body)
    with pytest.raises(ValueError, match=missing):
        TaskQueueMessage.model_validate(body)


@pytest.mark.parametrize(
    ("event", "stage"), [("stage_ended", 1), ("stage_ended", 32_767), ("job_ended", None)]
)
def test_a_jobs_message_names_a_stage_exactly_when_one_ended(event: str, stage: int | None) -> None:
    body = {
        "schema_version": 1,
        "job_id": "0199f000-0000-7000-8000-00000000000a",
        "job_type": "tiles",
        "event": event,
        "stage": stage,
        "status": "completed_with_errors",
        "parameters": {"n": 1},
    }
    validator(JobQueueMessage).validate(body)
    assert JobQueueMessage.model_validate_json(json.dumps(body)).stage == stage
    other = {"stage_ended": "job_ended", "job_ended": "stage_ended"}[event]
    with pytest.raises(ValueError, match="stage is given with the event stage_ended"):
        JobQueueMessage.model_validate({**body, "event": other})


@pytest.mark.parametrize("change", [{"event": "stage_began"}, {"status": "running"}], ids=str)
def test_a_jobs_message_is_about_an_end(change: dict[str, Any]) -> None:
    body = {"schema_version": 1, "job_id": BODY["job_id"], "job_type": "x", "event": "job_ended"}
    body |= {"status": "completed", "parameters": {}}
    JobQueueMessage.model_validate(body)
    with pytest.raises(ValidationError):
        validator(JobQueueMessage).validate({**body, **change})
    with pytest.raises(ValueError, match=next(iter(change))):
        JobQueueMessage.model_validate({**body, **change})
