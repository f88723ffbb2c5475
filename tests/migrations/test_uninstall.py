"""`uninstall` leaves nothing behind, neither in the database nor in the cluster."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from click.testing import CliRunner

from bridge.cli import main
from bridge.errors import MigrationError
from bridge.local.postgres import LocalPostgres, server_binaries
from bridge.migrate import migrate
from bridge.uninstall import ROLES, survey, uninstall
from tests.conftest import VERSION, new_postgres


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalPostgres]:
    """A server of its own: roles belong to all of its databases."""
    with new_postgres() as postgres:
        yield postgres


@pytest.fixture
def postgres(cluster: LocalPostgres) -> Iterator[LocalPostgres]:
    """The server with two empty databases, `one` and `two`."""
    with psycopg.connect(cluster.url(), autocommit=True) as connection:
        for name in ("one", "two"):
            connection.execute(f"create database {name}")
        yield cluster
        for name in ("one", "two"):
            connection.execute(f"drop database {name} with (force)")
        for role in ROLES:
            connection.execute(f"drop role if exists {role}")


def dump(postgres: LocalPostgres, database: str) -> str:
    """Everything of a database with its settings, and the roles of the cluster."""
    binaries = server_binaries(VERSION)
    commands = (
        [binaries / "pg_dump", "--create", postgres.url(database)],
        [binaries / "pg_dumpall", "--roles-only", f"--dbname={postgres.url()}"],
    )
    text = "".join(
        subprocess.run(
            command, check=True, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}
        ).stdout
        for command in commands
    )
    # pg_dump guards its script by a key that it draws anew each time.
    return "".join(
        line
        for line in text.splitlines(True)
        if not line.startswith(("\\restrict", "\\unrestrict"))
    )


def roles(postgres: LocalPostgres) -> set[str]:
    """Those of stagebus' roles that there are."""
    with psycopg.connect(postgres.url()) as connection:
        found = connection.execute(
            "select rolname from pg_roles where rolname = any (%s)", ([*ROLES],)
        )
        return {str(row[0]) for row in found.fetchall()}


def run(postgres: LocalPostgres, database: str, statement: str) -> None:
    with psycopg.connect(postgres.url(database), autocommit=True) as connection:
        connection.execute(statement)


MAKE_A_JOB = "select stagebus.create_stage_tasks(stagebus.create_job('j'), 1, 'h3_hexagon', 25000)"


@pytest.mark.parametrize("path", [None, "public", 'public, "Mine"'])
def test_a_dump_is_the_same_before_and_after(postgres: LocalPostgres, path: str | None) -> None:
    if path is not None:
        run(postgres, "one", f"alter database one set search_path = {path}")
    before = dump(postgres, "one")
    migrate(postgres.url("one"))
    run(postgres, "one", MAKE_A_JOB)
    assert dump(postgres, "one") != before
    list(uninstall(postgres.url("one"), force=True))
    assert dump(postgres, "one") == before
    migrate(postgres.url("one"))
    run(postgres, "one", MAKE_A_JOB)


def test_jobs_that_have_not_ended_are_not_dropped_by_mistake(postgres: LocalPostgres) -> None:
    migrate(postgres.url("one"))
    run(postgres, "one", MAKE_A_JOB)
    before = dump(postgres, "one")
    with pytest.raises(MigrationError, match=r"1 jobs, 1 of them not ended.*--force"):
        list(uninstall(postgres.url("one")))
    assert dump(postgres, "one") == before


def test_the_roles_stay_as_long_as_another_database_uses_them(postgres: LocalPostgres) -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(migrate, [postgres.url("one"), postgres.url("two")]))
    said = list(uninstall(postgres.url("one")))
    assert "role stagebus_owner stays: it is used elsewhere in this cluster" in said
    assert roles(postgres) == set(ROLES)
    run(postgres, "two", MAKE_A_JOB)
    list(uninstall(postgres.url("two"), force=True))
    assert roles(postgres) == set()


def test_it_may_be_run_again_and_where_nothing_is(postgres: LocalPostgres) -> None:
    assert survey(postgres.url("one")) is None
    assert list(uninstall(postgres.url("one"))) == []
    migrate(postgres.url("one"))
    migrate(postgres.url("two"))
    list(uninstall(postgres.url("one")))
    list(uninstall(postgres.url("two")))
    assert list(uninstall(postgres.url("one"))) == []


def test_what_is_built_on_ours_is_named_and_nothing_is_dropped(postgres: LocalPostgres) -> None:
    migrate(postgres.url("one"))
    run(postgres, "one", "create view public.mine as select job_id from stagebus.jobs")
    before = dump(postgres, "one")
    with pytest.raises(MigrationError, match=r"view (public\.)?mine; drop it first"):
        list(uninstall(postgres.url("one")))
    assert dump(postgres, "one") == before


def test_migrations_of_others_in_yoyos_tables_stay(postgres: LocalPostgres) -> None:
    migrate(postgres.url("one"))
    run(
        postgres,
        "one",
        "insert into _yoyo_migration (migration_hash, migration_id, applied_at_utc)"
        " values ('h', '0001.theirs', now())",
    )
    said = list(uninstall(postgres.url("one")))
    assert "yoyo's tables stay: they have migrations that are not stagebus'" in said
    with psycopg.connect(postgres.url("one")) as connection:
        found = connection.execute("select migration_id from _yoyo_migration").fetchall()
    assert found == [("0001.theirs",)]


def test_a_session_that_holds_a_table_is_waited_for_but_not_for_ever(
    postgres: LocalPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(postgres.url("one"))
    monkeypatch.setattr("bridge.uninstall.LOCK_TIMEOUT", "100ms")
    with psycopg.connect(postgres.url("one")) as other:
        other.execute("select from stagebus_data.jobs")
        with pytest.raises(MigrationError, match="did not let go within 100ms"):
            list(uninstall(postgres.url("one")))
    list(uninstall(postgres.url("one")))


def test_the_command_asks_for_the_name_of_the_database(postgres: LocalPostgres) -> None:
    migrate(postgres.url("one"))
    command = ["uninstall", "--database-url", postgres.url("one")]
    runner = CliRunner()
    dry = runner.invoke(main, [*command, "--dry-run"])
    assert (dry.exit_code, dry.output) == (
        0,
        "database 'one': 0 jobs, 0 of them not ended, 0 batches being published\n",
    )
    wrong = runner.invoke(main, command, input="two\n")
    assert wrong.exit_code == 1
    assert "nothing was changed" in wrong.output
    assert survey(postgres.url("one")) is not None
    right = runner.invoke(main, command, input="one\n")
    assert right.exit_code == 0, right.output
    assert "dropped schema stagebus_data" in right.output
    assert survey(postgres.url("one")) is None
