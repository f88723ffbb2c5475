"""`stagebus archive` writes all rows of a job, in little memory, and marks what it wrote."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner, Result

from bridge.cli import main
from tests.client import Client
from tests.operate.retention import ended_job, left_behind


def archive(database_url: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["archive", "--database-url", database_url, *arguments])


@pytest.fixture
def job_id(client: Client) -> UUID:
    return ended_job(client, tasks=30)


def is_marked(client: Client, job_id: UUID) -> bool:
    return client.column("select job_id from stagebus_data.archived_jobs") == [job_id]


def test_a_line_has_a_row_and_its_table(client: Client, database_url: str, job_id: UUID) -> None:
    result = archive(database_url, str(job_id))
    assert result.exit_code == 0, result.output
    lines: list[dict[str, Any]] = [json.loads(line) for line in result.stdout.splitlines()]
    assert {f"stagebus_data.{line['table']}" for line in lines} == left_behind(client, job_id)
    tasks = [line["row"] for line in lines if line["table"] == "tasks"]
    assert sorted(task["task_index"] for task in tasks) == list(range(1, 31))
    assert not is_marked(client, job_id)


def test_texts_and_numbers_come_as_they_are(client: Client, database_url: str) -> None:
    parameters = '{"text": "back\\\\slash \\n ü \\u0001", "number": 12345678901234567890.0123}'
    job_id = client.value("select stagebus.create_job('tiles', %s::jsonb)", parameters)
    (line,) = archive(database_url, str(job_id)).stdout.splitlines()
    assert "12345678901234567890.0123" in line
    assert json.loads(line)["row"]["parameters"] == json.loads(parameters)


def test_it_is_marked_when_asked(client: Client, database_url: str, job_id: UUID) -> None:
    assert archive(database_url, str(job_id), "--mark").exit_code == 0
    assert is_marked(client, job_id)


def test_a_job_that_is_not_there_is_an_error(database_url: str) -> None:
    result = archive(database_url, str(uuid4()))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "does not exist" in result.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="wants a disk that is full")
def test_what_could_not_be_written_is_not_marked(
    client: Client, database_url: str, job_id: UUID
) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "bridge", "archive", str(job_id), "--mark"],
            env={**os.environ, "STAGEBUS_DATABASE_URL": database_url},
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 1
    assert b"the archive is not whole" in done.stderr
    assert not is_marked(client, job_id)


def test_it_takes_no_more_memory_for_a_large_job(client: Client, database_url: str) -> None:
    """Each of 40,000 rows has half a kilobyte; the process grows by less than half of all that."""
    job_ids = [client.create_job() for _ in range(2)]
    for job_id, tasks in zip(job_ids, (1, 40_000), strict=True):
        client.execute(
            "select stagebus.create_stage_tasks_from_query(%s, 1, 'h3_hexagon', %s)",
            job_id,
            "select jsonb_build_object('n', n, 'text', repeat('x', 400))"
            f" from generate_series(1, {tasks}) as n",
        )
    program = (
        "import resource, sys; from uuid import UUID; from bridge.archive_command import write\n"
        "write(sys.argv[1], UUID(sys.argv[2]), open('/dev/null', 'wb'))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    small, large = (
        int(subprocess.check_output([sys.executable, "-c", program, database_url, str(job_id)]))
        for job_id in job_ids
    )
    assert large - small < 10_000, "kilobytes"
