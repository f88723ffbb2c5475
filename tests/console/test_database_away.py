"""`stagebus wait` and `watch` outlive a database that is away for a while."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from uuid import UUID

import pytest
from click.testing import CliRunner, Result
from psycopg.conninfo import conninfo_to_dict

from bridge import looking
from bridge.cli import main
from tests.bridge.conftest import through_gate
from tests.bridge.gate import Gate
from tests.client import Client
from tests.console.terminal import on_terminal
from tests.eventually import eventually


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "PAUSE", 0.1)


@pytest.fixture
def gate(database_url: str) -> Iterator[Gate]:
    """A proxy before PostgreSQL."""
    parts = conninfo_to_dict(database_url)
    with Gate(str(parts["host"]), int(str(parts["port"]))) as opened:
        yield opened


@pytest.fixture
def job_id(client: Client) -> UUID:
    return client.create_job()


@contextmanager
def looking_at(
    client: Client, url: str, command: str, *arguments: object
) -> Iterator[Future[Result]]:
    """The command in the background; it has looked at the job."""
    options = ["--database-url", url, *map(str, arguments)]
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(CliRunner().invoke, main, [command, *options])
        eventually(lambda: has_looked(client, command))
        yield running


def has_looked(client: Client, command: str) -> bool:
    """Its last query was answered, and the answer is there by now."""
    looked: bool = client.value(
        "select count(*) = 1 from pg_stat_activity where application_name = %s"
        " and datname = current_database() and state = 'idle' and query ~ %s"
        " and state_change < clock_timestamp() - interval '0.2 s'",
        f"stagebus {command}",
        {"wait": "stagebus.jobs", "watch": "plan_progress"}[command],
    )
    return looked


def terminate(client: Client, command: str) -> None:
    client.execute(
        "select pg_terminate_backend(pid, 10000) from pg_stat_activity"
        " where application_name = %s and datname = current_database()",
        f"stagebus {command}",
    )


@pytest.mark.parametrize("command", ["wait", "watch"])
def test_a_session_that_was_ended_is_replaced(
    client: Client, database_url: str, job_id: UUID, command: str
) -> None:
    with looking_at(client, database_url, command, job_id) as running:
        for _ in range(2):
            terminate(client, command)
            eventually(lambda: has_looked(client, command))
        client.execute("select stagebus.cancel_job(%s)", job_id)
        result = running.result(timeout=30)
    assert result.exit_code == 4, result.output
    assert result.stderr.count("the database is away (") == 2


def test_on_a_terminal_the_screen_goes_on_below(
    client: Client, database_url: str, job_id: UUID
) -> None:
    with on_terminal(database_url, "watch", str(job_id), "--every", "0.2") as terminal:
        terminal.until("\x1b[3A")
        terminate(client, "watch")
        terminal.until("is asked again")
        client.execute("select stagebus.cancel_job(%s)", job_id)
        assert terminal.end() == 4
    after = terminal.text.partition("is asked again")[2]
    assert after.startswith("\r\n\rjob ")


@pytest.mark.parametrize("command", ["wait", "watch"])
def test_the_timeout_goes_on(
    client: Client, database_url: str, job_id: UUID, gate: Gate, command: str
) -> None:
    url = through_gate(database_url, gate)
    with looking_at(client, url, command, job_id, "--timeout", "3") as running:
        gate.refuse()
        result = running.result(timeout=30)
    assert result.exit_code == 5, result.output
    assert result.stderr.count("the database is away") == 1


@pytest.mark.parametrize("command", ["wait", "watch"])
def test_one_that_stays_away_is_an_error(
    client: Client,
    database_url: str,
    job_id: UUID,
    gate: Gate,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(looking, "PATIENCE", 0.5)
    url = through_gate(database_url, gate)
    with looking_at(client, url, command, job_id) as running:
        gate.refuse()
        result = running.result(timeout=30)
    assert result.exit_code == 1
    assert "Error: the database says: " in result.stderr


@pytest.mark.parametrize("command", ["wait", "watch"])
def test_one_that_never_was_there_is_an_error_at_once(
    database_url: str, job_id: UUID, gate: Gate, command: str
) -> None:
    gate.refuse()
    url = through_gate(database_url, gate)
    result = CliRunner().invoke(main, [command, "--database-url", url, str(job_id)])
    assert result.exit_code == 1
    assert "asked again" not in result.stderr
