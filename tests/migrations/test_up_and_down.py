"""Migrations go up, down and up again, and leave what they found."""

from __future__ import annotations

import psycopg
import pytest

from bridge.errors import MigrationError
from bridge.migrate import migrate, rollback, status
from tests.migrations.dump import schema_dump
from tests.migrations.test_files import FILES

IDS = [path.stem for path in FILES]


def test_up_down_up_gives_the_same_schema(empty_database_url: str) -> None:
    assert migrate(empty_database_url) == IDS
    before = schema_dump(empty_database_url)
    assert rollback(empty_database_url, IDS[0]) == IDS[::-1]
    migrate(empty_database_url)
    assert schema_dump(empty_database_url) == before


def test_all_the_way_down_leaves_neither_schema(empty_database_url: str) -> None:
    migrate(empty_database_url)
    rollback(empty_database_url, IDS[0])
    with psycopg.connect(empty_database_url) as connection:
        left = connection.execute(
            "select nspname from pg_namespace where nspname like 'stagebus%'"
        ).fetchall()
    assert left == []


def test_each_migration_can_be_rolled_back_to_and_applied_again(empty_database_url: str) -> None:
    migrate(empty_database_url)
    before = schema_dump(empty_database_url)
    for migration_id in reversed(IDS):
        rollback(empty_database_url, migration_id)
        assert status(empty_database_url).pending == tuple(IDS[IDS.index(migration_id) :])
        migrate(empty_database_url)
        assert schema_dump(empty_database_url) == before


def test_a_rollback_of_what_is_not_applied_names_what_is(empty_database_url: str) -> None:
    migrate(empty_database_url)
    with pytest.raises(MigrationError, match=r"'0042\.nothing' is not applied; applied are: 0001"):
        rollback(empty_database_url, "0042.nothing")


def test_a_migration_that_was_applied_and_not_marked_is_applied_again(
    empty_database_url: str,
) -> None:
    """yoyo marks a migration in a transaction of its own: a crash may fall between."""
    migrate(empty_database_url)
    before = schema_dump(empty_database_url)
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute("delete from _yoyo_migration")
    assert migrate(empty_database_url) == IDS
    assert schema_dump(empty_database_url) == before
