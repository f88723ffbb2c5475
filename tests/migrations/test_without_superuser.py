"""migrate needs no superuser: the right to make roles will do, or roles made beforehand."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from bridge.local.postgres import LocalPostgres
from bridge.migrate import migrate, rollback, status
from bridge.uninstall import uninstall
from tests.conftest import new_postgres

ROLES = ("owner", "producer", "bridge", "worker", "operator", "monitor")


@pytest.fixture
def cluster() -> Iterator[LocalPostgres]:
    """A server without any role of ours."""
    with new_postgres() as server:
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
    list(uninstall(url, force=True))
    assert roles(cluster) == []


def test_a_database_owner_whose_roles_were_made_beforehand(cluster: LocalPostgres) -> None:
    administer(
        cluster,
        "create role admin login",
        *(f"create role stagebus_{role}" for role in ROLES),
        "grant stagebus_owner to admin",
        "create database mine owner admin",
    )
    url = make_conninfo(cluster.url("mine"), user="admin")
    migrate(url)
    assert status(url).agrees
    said = list(uninstall(url))
    stays = "role stagebus_owner stays: you may not drop it; who may: drop role stagebus_owner;"
    assert stays in said
    assert len(roles(cluster)) == 6


def test_roles_that_another_database_uses_stay(cluster: LocalPostgres) -> None:
    administer(cluster, "create database one", "create database two")
    migrate(cluster.url("one"))
    migrate(cluster.url("two"))
    rollback(cluster.url("one"), "0001.roles")
    assert len(roles(cluster)) == 6
    assert status(cluster.url("two")).agrees
    with psycopg.connect(cluster.url("two")) as connection:
        connection.execute("set role stagebus_producer")
        connection.execute("select stagebus.create_job('tiles')")
    rollback(cluster.url("two"), "0001.roles")
    assert roles(cluster) == []
