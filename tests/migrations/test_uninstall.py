"""`uninstall` leaves nothing behind, neither in the database nor in the cluster."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from click.testing import CliRunner
from psycopg.conninfo import make_conninfo

from bridge.cli import main
from bridge.errors import MigrationError
from bridge.local.postgres import LocalPostgres, server_binaries
from bridge.migrate import migrate
from bridge.rights import ROLES
from bridge.uninstall import Contents, plan, survey, uninstall
from tests.conftest import another_postgres, version
from tests.eventually import eventually


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalPostgres]:
    """A server of its own: roles belong to all of its databases."""
    with another_postgres() as postgres:
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
    binaries = server_binaries(version())
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


def said(postgres: LocalPostgres, database: str, *, force: bool = False) -> list[str]:
    return [str(step) for step in uninstall(postgres.url(database), force=force)]


def planned(postgres: LocalPostgres, database: str) -> list[str]:
    with psycopg.connect(postgres.url(database), autocommit=True) as connection:
        return [str(step) for step in plan(connection)]


def contents(postgres: LocalPostgres, database: str) -> Contents | None:
    with psycopg.connect(postgres.url(database), autocommit=True) as connection:
        return survey(connection)


@pytest.mark.parametrize(
    "path", [None, "public", 'public, "Mine"', '"$user", public', "'', public", '"a, b", "c=d"']
)
def test_a_dump_is_the_same_before_and_after(postgres: LocalPostgres, path: str | None) -> None:
    if path is not None:
        run(postgres, "one", 'create schema if not exists "a, b"')
        run(postgres, "one", f"alter database one set search_path = {path}")
    before = dump(postgres, "one")
    for _ in range(2):
        migrate(postgres.url("one"))
        run(postgres, "one", MAKE_A_JOB)
        assert dump(postgres, "one") != before
        uninstall(postgres.url("one"), force=True)
        assert dump(postgres, "one") == before


def test_a_search_path_that_was_changed_since_loses_only_stagebus(postgres: LocalPostgres) -> None:
    migrate(postgres.url("one"))
    run(postgres, "one", "alter database one set search_path = theirs, stagebus, public")
    assert planned(postgres, "one") == said(postgres, "one")
    with psycopg.connect(postgres.url("one")) as connection:
        assert connection.execute("show search_path").fetchone() == ("theirs, public",)


def test_jobs_that_have_not_ended_are_not_dropped_by_mistake(postgres: LocalPostgres) -> None:
    migrate(postgres.url("one"))
    run(postgres, "one", MAKE_A_JOB)
    before = dump(postgres, "one")
    with pytest.raises(MigrationError, match=r"1 of them not ended, with 25000 tasks.*--force"):
        uninstall(postgres.url("one"))
    assert dump(postgres, "one") == before


def test_a_job_that_is_made_meanwhile_is_seen(postgres: LocalPostgres) -> None:
    """Its transaction was open when uninstall began, and committed before it got its locks."""
    migrate(postgres.url("one"))
    with ThreadPoolExecutor() as pool, psycopg.connect(postgres.url("one")) as producer:
        producer.execute("select stagebus.create_job('made meanwhile')")
        outcome = pool.submit(uninstall, postgres.url("one"))
        eventually(lambda: waiting_for_a_lock(postgres, "one"))
        producer.commit()
        with pytest.raises(MigrationError, match="1 jobs, 1 of them not ended"):
            outcome.result()


def waiting_for_a_lock(postgres: LocalPostgres, database: str) -> bool:
    with psycopg.connect(postgres.url(database)) as connection:
        found = connection.execute("select from pg_locks where not granted").fetchall()
    return bool(found)


def test_the_roles_stay_as_long_as_another_database_uses_them(postgres: LocalPostgres) -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(migrate, [postgres.url("one"), postgres.url("two")]))
    lines = planned(postgres, "one")
    assert "role stagebus_owner stays: used in database two: run uninstall there" in lines
    assert said(postgres, "one") == lines
    assert roles(postgres) == set(ROLES)
    run(postgres, "two", MAKE_A_JOB)
    assert planned(postgres, "two") == said(postgres, "two", force=True)
    assert roles(postgres) == set()


def test_two_at_once_leave_at_most_roles_which_the_next_run_drops(postgres: LocalPostgres) -> None:
    for name in ("one", "two"):
        migrate(postgres.url(name))
    with ThreadPoolExecutor() as pool:
        list(pool.map(uninstall, [postgres.url("one"), postgres.url("two")]))
    uninstall(postgres.url("one"))
    assert roles(postgres) == set()


def test_a_role_that_is_granted_to_a_login_stays_and_the_way_out_works(
    postgres: LocalPostgres,
) -> None:
    migrate(postgres.url("one"))
    run(postgres, "one", "create role their_app login in role stagebus_producer")
    try:
        lines = said(postgres, "one")
        (line,) = [line for line in lines if "stays" in line]
        assert line.startswith("role stagebus_producer stays: granted to their_app: revoke ")
        assert roles(postgres) == {"stagebus_producer"}
        run(postgres, "one", line.partition("their_app: ")[2])
        assert roles(postgres) == set()
    finally:
        run(postgres, "one", "drop role their_app")


def test_a_role_that_has_rights_on_their_table_stays_and_the_way_out_works(
    postgres: LocalPostgres,
) -> None:
    migrate(postgres.url("one"))
    run(postgres, "one", "create table public.theirs (id integer)")
    run(postgres, "one", "grant select on public.theirs to stagebus_worker")
    (line,) = [line for line in said(postgres, "one") if "stays" in line]
    assert "stagebus_worker stays: it owns, or has rights on, table theirs: reassign" in line
    assert roles(postgres) == {"stagebus_worker"}
    run(postgres, "one", line.partition("theirs: ")[2])
    assert roles(postgres) == set()


def test_it_may_be_run_again_and_where_nothing_is(postgres: LocalPostgres) -> None:
    assert contents(postgres, "one") is None
    assert said(postgres, "one") == []
    migrate(postgres.url("one"))
    migrate(postgres.url("two"))
    uninstall(postgres.url("one"))
    uninstall(postgres.url("two"))
    assert said(postgres, "one") == []


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("create view public.mine as select job_id from stagebus.jobs", "view mine"),
        ("create materialized view mine as select 1 from stagebus_data.jobs", "view mine"),
        ("create table mine (id int default stagebus.slot_of(1))", "table mine"),
        ("create table mine (summary stagebus.stage_summary)", "table mine"),
        ("create table mine (id uuid references stagebus_data.jobs)", "table mine"),
        (
            "create function mine(a stagebus.stage_summary) returns int language sql return 1",
            "function mine",
        ),
    ],
)
def test_what_is_built_on_ours_is_named_and_nothing_is_dropped(
    postgres: LocalPostgres, statement: str, name: str
) -> None:
    migrate(postgres.url("one"))
    run(postgres, "one", statement)
    before = dump(postgres, "one")
    with pytest.raises(MigrationError, match=rf"built on ours: .*{name}\b.*; drop it first"):
        uninstall(postgres.url("one"))
    assert dump(postgres, "one") == before


def test_migrations_of_others_in_yoyos_tables_stay(postgres: LocalPostgres) -> None:
    migrate(postgres.url("one"))
    run(
        postgres,
        "one",
        "insert into _yoyo_migration (migration_hash, migration_id, applied_at_utc)"
        " values ('h', '0001.theirs', now())",
    )
    assert "dropped our migrations from yoyo's tables, which others use" in said(postgres, "one")
    with psycopg.connect(postgres.url("one")) as connection:
        found = connection.execute("select migration_id from _yoyo_migration").fetchall()
    assert found == [("0001.theirs",)]
    assert said(postgres, "one") == []


def test_a_session_that_holds_a_table_is_waited_for_but_not_for_ever(
    postgres: LocalPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(postgres.url("one"))
    monkeypatch.setattr("bridge.uninstall.LOCK_TIMEOUT", "100ms")
    with psycopg.connect(postgres.url("one")) as other:
        other.execute("select from stagebus_data.jobs")
        with pytest.raises(MigrationError, match="did not let go within 100ms"):
            uninstall(postgres.url("one"))
    uninstall(postgres.url("one"))


def test_a_role_without_the_rights_is_told_who_has_them(postgres: LocalPostgres) -> None:
    migrate(postgres.url("one"))
    run(postgres, "one", "create role stranger login")
    try:
        command = ["uninstall", "--yes", "--database-url"]
        url = make_conninfo(postgres.url("one"), user="stranger")
        refused = CliRunner().invoke(main, [*command, url])
        assert refused.exit_code == 1
        assert "run it as the role that ran stagebus migrate" in refused.output
        assert contents(postgres, "one") is not None
    finally:
        run(postgres, "one", "drop role stranger")


def test_the_command_asks_for_the_name_of_the_database(postgres: LocalPostgres) -> None:
    migrate(postgres.url("one"))
    command = ["uninstall", "--database-url", postgres.url("one")]
    runner = CliRunner()
    wrong = runner.invoke(main, command, input="two\n")
    assert wrong.exit_code == 1
    assert "nothing was changed" in wrong.output
    assert contents(postgres, "one") is not None
    right = runner.invoke(main, command, input="one\n")
    assert right.exit_code == 0, right.output
    assert "dropped schema stagebus_data" in right.output
    assert contents(postgres, "one") is None
    nothing = runner.invoke(main, command)
    assert nothing.exit_code == 0
    assert nothing.output == "there is nothing of stagebus in database 'one'\n"


def test_a_dry_run_says_what_would_go_and_changes_nothing(postgres: LocalPostgres) -> None:
    migrate(postgres.url("one"))
    run(postgres, "one", MAKE_A_JOB)
    before = dump(postgres, "one")
    command = ["uninstall", "--dry-run", "--database-url", postgres.url("one")]
    with psycopg.connect(postgres.url("one")) as reader:
        # It needs no lock that this one keeps from it.
        reader.execute("lock table stagebus_data.jobs in row exclusive mode")
        dry = CliRunner().invoke(main, command)
    assert dry.exit_code == 0, dry.output
    assert dry.output.splitlines() == [
        "database 'one': 1 jobs, 1 of them not ended, with 25000 tasks to go;"
        " 0 batches being published",
        "would drop schema stagebus",
        "would drop schema stagebus_data",
        "would drop yoyo's tables",
        "would drop stagebus from the database's search_path",
        *(f"would drop role {role}" for role in ROLES),
    ]
    assert dump(postgres, "one") == before
