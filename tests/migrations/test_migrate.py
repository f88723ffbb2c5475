"""`migrate` may be run again, by many at once, and says how a database stands."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from bridge import migrate as migration
from bridge.errors import MigrationError
from tests.conftest import Server
from tests.migrations.dump import schema_dump
from tests.migrations.test_files import FILES, FOLDER

IDS = [path.stem for path in FILES]


def test_running_it_twice_changes_nothing(empty_database_url: str) -> None:
    migration.migrate(empty_database_url)
    before = schema_dump(empty_database_url)
    assert migration.migrate(empty_database_url) == []
    assert schema_dump(empty_database_url) == before


def test_a_database_that_is_not_utf8_is_refused_before_anything_is_changed(server: Server) -> None:
    with psycopg.connect(server.url(server.maintenance_dbname), autocommit=True) as connection:
        connection.execute("create database latin encoding 'LATIN1' locale 'C' template template0")
        try:
            with pytest.raises(MigrationError, match=r"latin has the encoding LATIN1.*needs UTF8"):
                migration.migrate(server.url("latin"))
            with psycopg.connect(server.url("latin")) as latin:
                found = latin.execute(
                    "select to_regclass('_yoyo_migration'), to_regnamespace('stagebus')"
                )
                assert found.fetchone() == (None, None)
        finally:
            connection.execute("drop database latin with (force)")


def test_eight_at_once_apply_each_migration_once(empty_database_url: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        applied = list(pool.map(migration.migrate, [empty_database_url] * 8))
    assert sorted(name for names in applied for name in names) == IDS
    assert migration.status(empty_database_url).agrees


def test_eight_processes_at_once_are_harmless(empty_database_url: str) -> None:
    command = [sys.executable, "-m", "bridge", "migrate", "--database-url", empty_database_url]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(8)
    ]
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 8, outputs
    assert sum(output.count("applied 0001.roles") for output in outputs) == 1
    assert migration.status(empty_database_url).agrees


def test_plain_yoyo_apply_leaves_a_whole_system(empty_database_url: str) -> None:
    done = subprocess.run(
        [
            *(str(Path(sys.executable).parent / "yoyo"), "apply", "--batch", "--no-config-file"),
            *("--database", migration._yoyo_url(empty_database_url), str(FOLDER)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert migration.status(empty_database_url).agrees
    with psycopg.connect(empty_database_url) as connection:
        connection.execute("select stagebus.create_job('made after yoyo apply')")


def test_an_empty_database_has_everything_pending(empty_database_url: str) -> None:
    found = migration.status(empty_database_url)
    assert found.pending == tuple(IDS)
    assert not found.digest_agrees
    assert not found.agrees


def test_code_of_another_version_is_noticed_and_replayed(empty_database_url: str) -> None:
    migration.migrate(empty_database_url)
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute("update stagebus_data.installed_code set digest = 'another'")
    assert not migration.status(empty_database_url).agrees
    migration.migrate(empty_database_url)
    assert migration.status(empty_database_url).agrees


def test_a_migration_of_a_later_version_is_named(empty_database_url: str) -> None:
    of_the_future(empty_database_url)
    assert migration.status(empty_database_url).unknown == ("9999.from-the-future",)


@pytest.mark.parametrize(
    "attempt",
    [migration.migrate, migration.script, lambda url: migration.rollback(url, IDS[-1])],
    ids=["migrate", "dump-sql", "rollback"],
)
def test_a_database_of_a_later_version_is_left_as_it_is(
    empty_database_url: str, attempt: Callable[[str], object]
) -> None:
    of_the_future(empty_database_url)
    before = schema_dump(empty_database_url)
    with pytest.raises(MigrationError, match=r"does not know 9999.*--rollback 9999.from-the-fut"):
        attempt(empty_database_url)
    assert schema_dump(empty_database_url) == before


def of_the_future(database_url: str) -> None:
    """Migrated by a later version, with a function that is new there."""
    migration.migrate(database_url)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("create function stagebus.new_there() returns int return 1")
        connection.execute(
            "insert into _yoyo_migration (migration_hash, migration_id, applied_at_utc)"
            " values ('x', '9999.from-the-future', now())"
        )


@pytest.mark.parametrize("wanted", [True, False])
def test_the_search_path_is_appended_unless_told_not_to(
    empty_database_url: str, wanted: bool
) -> None:
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f'alter database "{name}" set search_path = mine, public')
    for _ in range(2):
        migration.migrate(empty_database_url, set_search_path=wanted)
    with psycopg.connect(empty_database_url) as connection:
        row = connection.execute("show search_path").fetchone()
    assert row == ("mine, public, stagebus" if wanted else "mine, public",)


def test_the_script_makes_what_migrate_makes(empty_database_url: str) -> None:
    script = migration.script(empty_database_url)
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute(script)  # type: ignore[arg-type]
        connection.execute("select stagebus.create_job('made by the script')")


def test_this_and_next_weeks_partition_are_there(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "select count(*) from pg_inherits where inhparent = 'stagebus_data.tasks'::regclass"
        ).fetchone()
    assert row == (2,)
