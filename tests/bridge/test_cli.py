"""The command line around the service: migrate and local."""

from __future__ import annotations

import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage
from click.testing import CliRunner, Result

from bridge.cli import main
from tests.bridge.conftest import OwnServer, close_meanwhile
from tests.client import Client

_PROJECT = Path(__file__).resolve().parents[2]


def stagebus(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_migrate_brings_a_database_up_and_says_what_it_did(own_server: OwnServer) -> None:
    url = own_server.new_database(migrated=False)
    check = stagebus("migrate", "--database-url", url, "--check")
    assert check.exit_code == 1
    assert "pending: 0001.roles" in check.output
    assert "differ: stagebus migrate" in check.output

    dump = stagebus("migrate", "--database-url", url, "--dump-sql")
    assert dump.exit_code == 0
    assert "create or replace function stagebus.claim_batches(" in dump.output
    assert "create table if not exists stagebus_data.batches" in dump.output
    with psycopg.connect(url) as connection:
        # It has only been printed.
        assert connection.execute("select to_regnamespace('stagebus_data')").fetchone() == (None,)

    first = stagebus("migrate", "--database-url", url)
    assert first.exit_code == 0
    assert first.output.startswith("applied 0001.roles\n")
    second = stagebus("migrate", "--database-url", url)
    assert second.exit_code == 0
    assert "applied" not in second.output
    assert "replayed sql/" in second.output
    check = stagebus("migrate", "--database-url", url, "--check")
    assert (check.exit_code, check.output) == (0, "database and version agree\n")
    with psycopg.connect(url) as connection:
        assert connection.execute("select create_job('as typed') is not null").fetchone() == (True,)

    rollback = stagebus("migrate", "--database-url", url, "--rollback", "0004.batches-and-sends")
    assert rollback.exit_code == 0
    assert "rolled back 0004.batches-and-sends" in rollback.output
    assert "rolled back 0003" not in rollback.output
    assert stagebus("migrate", "--database-url", url, "--check").exit_code == 1
    assert stagebus("migrate", "--database-url", url).exit_code == 0
    assert stagebus("migrate", "--database-url", url, "--check").exit_code == 0


def test_migrate_leaves_the_search_path_alone_when_told_to(own_server: OwnServer) -> None:
    url = own_server.new_database(migrated=False)
    assert stagebus("migrate", "--database-url", url, "--no-search-path").exit_code == 0
    with psycopg.connect(url) as connection:
        assert connection.execute("show search_path").fetchone() == ('"$user", public',)


def test_what_the_dump_prints_makes_a_database_that_works(own_server: OwnServer) -> None:
    url = own_server.new_database(migrated=False)
    dump = stagebus("migrate", "--database-url", url, "--dump-sql").output
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(dump.encode())
    with Client(url) as client:
        assert client.create_stage_tasks(client.create_job(), 1, "h3_hexagon", 3).tasks == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--database-url", "postgresql://me:geheim@127.0.0.1:1/none"], "refused"),
        (["--database-url", "postgresql://me:geheim@[half"], "STAGEBUS_DATABASE_URL"),
        (["--database-url", "nonsense"], "STAGEBUS_DATABASE_URL"),
    ],
)
def test_a_wrong_url_is_an_error_of_one_line(arguments: list[str], said: str) -> None:
    for more in ([], ["--check"], ["--dump-sql"], ["--rollback", "0001.roles"]):
        result = stagebus("migrate", *arguments, *more)
        assert result.exit_code == 1
        assert result.output.startswith("Error: ")
        assert len(result.output.splitlines()) == 1
        assert said in result.output
        assert "geheim" not in result.output


def test_a_rollback_of_what_is_not_applied_changes_nothing(own_server: OwnServer) -> None:
    url = own_server.new_database()
    result = stagebus("migrate", "--database-url", url, "--rollback", "0099.no-such")
    assert result.exit_code == 1
    assert "'0099.no-such' is not applied; applied are: 0001.roles" in result.output
    assert stagebus("migrate", "--database-url", url, "--check").exit_code == 0


def test_ways_to_migrate_exclude_each_other() -> None:
    result = stagebus("migrate", "--database-url", "host=x", "--check", "--dump-sql")
    assert result.exit_code == 2
    assert "exclude each other" in result.output


def test_local_prints_what_to_export_and_stops_at_sigterm() -> None:
    # A short path: that of the socket has a limit.
    folder = Path(tempfile.mkdtemp(prefix="stagebus-local-"))
    process = subprocess.Popen(
        [sys.executable, "-m", "bridge", "local", "--folder", str(folder)],
        cwd=_PROJECT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        with process:
            assert process.stdout is not None
            assert process.stderr is not None
            lines = []
            for line in process.stdout:
                lines.append(line)
                if "running until" in line:
                    break
            exports = dict(
                word.split("=", 1)
                for line in lines
                if line.startswith("export ")
                for word in shlex.split(line)[1:]
            )
            try:
                with Client(exports["STAGEBUS_DATABASE_URL"]) as client:
                    summary = client.create_stage_tasks(client.create_job(), 1, "h3_hexagon", 3)
                    assert summary.tasks == 3
                    server = client.value("select pg_postmaster_start_time() is not null")
                    assert server
                service = ServiceBusClient.from_connection_string(
                    exports["STAGEBUS_SERVICEBUS_CONNECTION_STRING"]
                )
                sender = service.get_queue_sender("tasks")
                sender.send_messages(
                    ServiceBusMessage(b"{}", message_id="1", application_properties={})
                )
                close_meanwhile(sender, service)
            finally:
                process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0, process.stderr.read()
        assert not (folder / "data" / "postmaster.pid").exists()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(exports["STAGEBUS_DATABASE_URL"])
        assert (folder / "data" / "PG_VERSION").exists()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
