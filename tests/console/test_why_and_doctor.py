"""`stagebus why` and `stagebus doctor` say what the functions of their names say."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner, Result

from bridge.cli import main
from bridge.migrate import migrate
from bridge.replay import code_digest, code_files
from tests.client import Client
from tests.conftest import another_postgres


def run(command: str, database_url: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, [command, "--database-url", database_url, *arguments])


def report(client: Client) -> None:
    client.execute(
        "select stagebus.report_bridge(%s, 'host', 7, '1.0', %s)", client.bridge_id, code_digest()
    )


@pytest.fixture
def job_id(client: Client) -> UUID:
    report(client)
    job_id = client.create_job()
    client.create_stage_tasks(job_id, 1, "h3_hexagon", 5, seal=False)
    return job_id


def test_why_names_the_cause_and_what_to_type(database_url: str, job_id: UUID) -> None:
    result = run("why", database_url, str(job_id))
    assert result.exit_code == 0, result.output
    cause, fix = result.output.splitlines()
    assert cause.startswith("unsealed stage (stage 1): it has 5 tasks so far")
    assert fix == f"    select * from stagebus.seal_stage('{job_id}', 1);"


def test_why_as_json(database_url: str, job_id: UUID) -> None:
    (row,) = json.loads(run("why", database_url, str(job_id), "--json").output)
    assert (row["cause"], row["stage"]) == ("unsealed stage", 1)
    assert set(row) == {"cause", "stage", "evidence", "fix"}


def test_it_says_who_may_type_what_it_prints(client: Client, database_url: str) -> None:
    files = [path for path in code_files() if path.name.startswith(("causes_", "nothing_is_stuck"))]
    text = "".join(path.read_text("utf-8") for path in files)
    named = re.findall(r"'select (?:\* from )?stagebus\.(\w+)\(", text)
    assert "retry_tasks" in named
    functions = (
        "select distinct p.proname from pg_proc as p"
        " where p.pronamespace = 'stagebus'::regnamespace and p.proname = any(%s)"
        " and not has_function_privilege(%s, p.oid, 'execute') order by 1"
    )
    others = client.column(functions, named, "stagebus_operator")
    assert others == ["create_stage_tasks", "seal_stage"]
    assert client.column(functions, others, "stagebus_producer") == []
    told = " ".join(run("why", database_url, "--help").output.split())
    assert "seal_stage and create_stage_tasks need stagebus_producer" in told


def test_a_job_that_does_not_exist_is_named(database_url: str) -> None:
    job_id = str(uuid4())
    result = run("why", database_url, job_id)
    assert (result.exit_code, job_id in result.output) == (1, True)


def test_the_doctors_exit_code_says_how_grave_it_is() -> None:
    """On a server that is not told to be fast at any price."""
    with another_postgres({}) as postgres:
        migrate(postgres.url())
        with Client(postgres.url()) as client:
            report(client)
            result = run("doctor", postgres.url())
            assert (result.exit_code, result.output.split(":")[0]) == (0, "ok")
            client.execute("select stagebus.pause_destination('tasks')")
            result = run("doctor", postgres.url())
            assert (result.exit_code, result.output.split(":")[0]) == (3, "warning")
            assert "    select stagebus.resume_destination('tasks');" in result.output.splitlines()
            client.advance(timedelta(hours=1))
            result = run("doctor", postgres.url(), "--json")
            assert result.exit_code == 4
            severities = [row["severity"] for row in json.loads(result.output)]
            assert severities == ["critical", "warning", "notice"]


def test_the_doctor_compares_the_code_with_its_own(client: Client, database_url: str) -> None:
    client.execute("update stagebus_data.installed_code set digest = 'of last year'")
    fix = "    -- with the newest version: stagebus migrate"
    assert fix in run("doctor", database_url).output.splitlines()
