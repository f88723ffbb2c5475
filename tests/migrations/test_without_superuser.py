"""migrate needs no superuser: the right to make roles will do, or roles made beforehand."""

from __future__ import annotations

import re
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from bridge.errors import MigrationError
from bridge.local.postgres import LocalPostgres
from bridge.migrate import migrate, rollback, status
from bridge.uninstall import uninstall
from tests.conftest import another_postgres, version

ROLES = ("owner", "producer", "bridge", "worker", "operator", "monitor", "nobody")


@pytest.fixture
def cluster() -> Iterator[LocalPostgres]:
    """A server without any role of ours."""
    with another_postgres() as server:
        yield server


def administer(cluster: LocalPostgres, *statements: str) -> None:
    with psycopg.connect(cluster.url(), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)  # type: ignore[call-overload]


def roles(cluster: LocalPostgres) -> list[str]:
    with psycopg.connect(cluster.url()) as connection:
        return [
            row[0]
            for row in connection.execute(
                "select rolname from pg_roles where rolname ~ '^stagebus_' order by 1"
            )
        ]


def test_a_database_owner_who_may_make_roles(cluster: LocalPostgres) -> None:
    administer(cluster, "create role admin login createrole", "create database mine owner admin")
    url = make_conninfo(cluster.url("mine"), user="admin")
    migrate(url)
    assert status(url).agrees
    assert roles(cluster) == sorted(f"stagebus_{role}" for role in ROLES)
    with psycopg.connect(url) as connection:
        connection.execute("set role stagebus_owner")
        connection.execute("select create_job('tiles')")
    migrate(url)
    assert not [step for step in uninstall(url, force=True) if not step.goes]
    assert roles(cluster) == []


def test_a_database_owner_whose_roles_were_made_beforehand(cluster: LocalPostgres) -> None:
    administer(
        cluster,
        "create role admin login",
        *(f"create role stagebus_{role}" for role in ROLES),
        "grant stagebus_owner to admin",
        "grant stagebus_nobody to stagebus_owner",
        "create database mine owner admin",
    )
    url = make_conninfo(cluster.url("mine"), user="admin")
    migrate(url)
    assert status(url).agrees
    said = [str(step) for step in uninstall(url)]
    assert (
        "role stagebus_owner stays: you may not drop it; who may: drop role stagebus_owner;" in said
    )
    assert len(roles(cluster)) == 7


def way_out(url: str) -> list[str]:
    """The statements that a refused `migrate` asks someone else to run."""
    with pytest.raises(MigrationError, match="a superuser, or who may, runs first: ") as refused:
        migrate(url)
    with psycopg.connect(url) as connection:
        made = connection.execute("select to_regclass('_yoyo_migration')").fetchone()
    assert made == (None,), "it began nevertheless"
    return re.findall(r"[^;:]+;", str(refused.value).partition("first: ")[2])


def test_one_who_may_do_neither_is_told_what_a_superuser_must_run(cluster: LocalPostgres) -> None:
    administer(cluster, "create role admin login", "create database mine")
    url = make_conninfo(cluster.url("mine"), user="admin")
    statements = way_out(url)
    assert [statement.strip() for statement in statements] == [
        *(f'create role "stagebus_{role}";' for role in ROLES),
        'grant "stagebus_owner" to "admin";',
        'grant "stagebus_nobody" to "stagebus_owner";',
        'grant create on database "mine" to "admin";',
        'grant create on schema "public" to "admin";',
    ]
    with psycopg.connect(cluster.url("mine"), autocommit=True) as superuser:
        for statement in statements:
            superuser.execute(statement)  # type: ignore[call-overload]
    with pytest.raises(MigrationError, match=r"only the owner.*alter database.*--no-search-path"):
        migrate(url)
    migrate(url, set_search_path=False)
    assert status(url).agrees


def test_roles_that_another_admin_made(cluster: LocalPostgres) -> None:
    """Before PostgreSQL 16 CREATEROLE may grant any role; since then only who administers it."""
    administer(
        cluster,
        "create role one login createrole",
        "create role two login createrole",
        "create database first owner one",
        "create database second owner two",
    )
    migrate(make_conninfo(cluster.url("first"), user="one"))
    url = make_conninfo(cluster.url("second"), user="two")
    if version() >= 16:
        (statement,) = way_out(url)
        administer(cluster, statement)
    migrate(url)
    assert status(url).agrees
    (mine, *_) = [step for step in uninstall(url) if not step.goes]
    assert "used in database first" in str(mine)
    uninstall(make_conninfo(cluster.url("first"), user="one"))
    assert roles(cluster) == []


def test_a_search_path_without_a_schema_is_refused_with_the_way_out(cluster: LocalPostgres) -> None:
    administer(
        cluster,
        "create role admin login createrole",
        "create database mine owner admin",
        "alter database mine set search_path = ''",
    )
    url = make_conninfo(cluster.url("mine"), user="admin")
    with pytest.raises(MigrationError, match="options=-csearch_path%3Dpublic"):
        migrate(url)
    migrate(make_conninfo(url, options="-csearch_path=public"))
    uninstall(make_conninfo(url, options="-csearch_path=public"))
    assert roles(cluster) == []


def test_roles_that_another_database_uses_stay(cluster: LocalPostgres) -> None:
    administer(cluster, "create database one", "create database two")
    migrate(cluster.url("one"))
    migrate(cluster.url("two"))
    rollback(cluster.url("one"), "0001.roles")
    assert len(roles(cluster)) == 7
    assert status(cluster.url("two")).agrees
    with psycopg.connect(cluster.url("two")) as connection:
        connection.execute("set role stagebus_producer")
        connection.execute("select stagebus.create_job('tiles')")
    rollback(cluster.url("two"), "0001.roles")
    assert roles(cluster) == []
