"""`stagebus wait` ends with the job and says how, for a scheduler."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner, Result

from bridge.cli import main
from tests.client import Client

#: A stage without tasks completes at once.
EMPTY_STAGE = "select stagebus.create_stage_tasks_from_array(%s, 1, 'h3_hexagon', '{}')"


def wait(database_url: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["wait", "--database-url", database_url, *arguments])


def ended_job(client: Client, state: str) -> UUID:
    job_id = client.create_job()
    client.execute(
        "update stagebus_data.jobs set state = %s, ended_at = now() where job_id = %s",
        state,
        job_id,
    )
    return job_id


@pytest.mark.parametrize(
    ("state", "code"),
    [("completed", 0), ("completed_with_errors", 3), ("failed", 4), ("cancelled", 4)],
)
def test_the_exit_code_says_how_the_job_ended(
    client: Client, database_url: str, state: str, code: int
) -> None:
    result = wait(database_url, str(ended_job(client, state)))
    assert (result.exit_code, result.output.strip()) == (code, state)


def test_a_job_that_does_not_end_in_time_exits_with_5(client: Client, database_url: str) -> None:
    result = wait(database_url, str(client.create_job()), "--timeout", "0.2")
    assert result.exit_code == 5
    assert "not ended within 0.2 s" in result.output


def test_a_job_that_does_not_exist_is_an_error(database_url: str) -> None:
    job_id = uuid4()
    result = wait(database_url, str(job_id))
    assert (result.exit_code, f"there is no job {job_id}" in result.output) == (1, True)


@pytest.mark.parametrize(
    "arguments",
    [("tomorrow",), (str(uuid4()), "--timeout", "nan"), (str(uuid4()), "--stage", "32768")],
)
def test_a_wrong_call_exits_with_2(database_url: str, arguments: tuple[str, ...]) -> None:
    assert wait(database_url, *arguments).exit_code == 2


def test_it_returns_when_the_job_ends(client: Client, database_url: str) -> None:
    job_id = client.create_job()
    client.execute(
        "select stagebus.create_stage_tasks_from_array(%s, 1, 'h3_hexagon', '{}')", job_id
    )
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wait, database_url, str(job_id), "--timeout", "30")
        client.execute("select stagebus.finish_job(%s)", job_id)
        result = waiting.result(timeout=30)
    assert result.exit_code == 0
    assert result.output.split()[-1] == "completed"


def test_one_stage_can_be_waited_for(client: Client, database_url: str) -> None:
    job_id = client.create_job()
    client.execute(
        "select stagebus.create_stage_tasks_from_array(%s, 1, 'h3_hexagon', '{}')", job_id
    )
    assert wait(database_url, str(job_id), "--stage", "1").exit_code == 0
    assert wait(database_url, str(job_id), "--stage", "2", "--timeout", "0.1").exit_code == 5


def test_as_json_it_says_once_how_it_ended(client: Client, database_url: str) -> None:
    job_id = ended_job(client, "completed_with_errors")
    result = wait(database_url, str(job_id), "--json")
    assert result.exit_code == 3
    assert json.loads(result.output) == {
        "job_id": str(job_id), "stage": None, "status": "completed_with_errors", "exit_code": 3,
    }  # fmt: skip
    result = wait(database_url, str(client.create_job()), "--json", "--timeout", "0.1")
    assert (result.exit_code, json.loads(result.stdout)["status"]) == (5, "created")
