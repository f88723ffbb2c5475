"""`stagebus status` shows jobs, stages and batches, for people and as JSON."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner, Result

from bridge.cli import main
from tests.client import Client


def status(database_url: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["status", "--database-url", database_url, *arguments])


def status_json(database_url: str, *arguments: str) -> list[dict[str, Any]]:
    result = status(database_url, "--json", *arguments)
    assert result.exit_code == 0, result.output
    rows: list[dict[str, Any]] = json.loads(result.output)
    return rows


@pytest.fixture
def job_id(client: Client) -> UUID:
    job_id = client.create_job()
    client.execute("select stagebus.create_stage_tasks(%s, 1, 'process_raster', 250)", job_id)
    return job_id


def test_a_job_has_a_row_per_stage(database_url: str, job_id: UUID) -> None:
    (row,) = status_json(database_url, str(job_id))
    assert (row["stage"], row["tasks"], row["pending_queue"], row["batches"]) == (1, 250, 250, 3)


def test_the_table_has_the_names_of_its_columns(database_url: str, job_id: UUID) -> None:
    head, line = status(database_url, str(job_id)).output.splitlines()
    assert head.split()[:4] == ["stage", "task_type", "stage_status", "tasks"]
    assert line.split()[:4] == ["1", "process_raster", "open", "250"]


def test_without_a_job_it_shows_those_that_have_not_ended(
    client: Client, database_url: str, job_id: UUID
) -> None:
    assert [row["job_id"] for row in status_json(database_url)] == [str(job_id)]
    client.execute("update stagebus_data.jobs set state = 'cancelled', ended_at = now()")
    assert status_json(database_url) == []
    assert status(database_url).output.strip() == "nothing to show"


def test_batches_and_one_batch(database_url: str, job_id: UUID) -> None:
    batches = status_json(database_url, str(job_id), "--batches")
    assert [batch["tasks"] for batch in batches] == [100, 100, 50]
    one = status_json(database_url, str(job_id), "--batch", batches[1]["batch_id"])
    assert one == [batches[1]]


@pytest.mark.parametrize("arguments", [[], ["--stage", "1"], ["--batches"]])
def test_an_unknown_job_is_named(database_url: str, arguments: list[str]) -> None:
    job_id = str(uuid4())
    result = status(database_url, job_id, *arguments)
    assert (result.exit_code, job_id in result.output) == (1, True)


def test_an_option_that_needs_a_job_says_so(database_url: str) -> None:
    result = status(database_url, "--batches")
    assert (result.exit_code, "need a JOB" in result.output) == (2, True)
