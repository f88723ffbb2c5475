"""One PostgreSQL server for all tests, and for each test a fresh, migrated database of it.

The server comes from the wheel, or from Debian's packages (STAGEBUS_TEST_PG names its major
version), or it is the one that STAGEBUS_TEST_DATABASE_URL names, as a superuser. The databases are
clones of one template.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pytest_postgresql import factories

from bridge.local.postgres import LocalPostgres, PostgresError, server_binaries
from bridge.migrate import migrate
from tests.client import Client


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What lasts longest comes first, so that nobody waits for it alone in the end."""
    items.sort(key=lambda item: item.get_closest_marker("starts_first") is None)


#: A server to test on, instead of one of our own.
GIVEN = os.environ.get("STAGEBUS_TEST_DATABASE_URL")

#: A server that a power cut may break, and that is the faster for it.
SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_connections": "200",
    "max_wal_size": "256MB",
}

#: The role of the fixture `caller`; the roles of a server are shared, so another process that tests
#: on it has another.
CALLER = f"stagebus_test_caller_{os.getpid()}"

#: Each test's database has a number.
NUMBERS = itertools.count(1)

#: Cloning a database makes some 300 files: 20 ms in memory, up to 300 ms on a disk.
MEMORY = Path("/dev/shm")
ENOUGH_MEMORY = 2 * 1024**3


@cache
def version() -> int:
    """The major version that is tested."""
    if GIVEN:
        with psycopg.connect(GIVEN) as connection:
            return connection.info.server_version // 10000
    return int(os.environ.get("STAGEBUS_TEST_PG", "18"))


@contextmanager
def new_postgres(settings: Mapping[str, str] = SETTINGS) -> Iterator[LocalPostgres]:
    """A server without any database of ours, in memory where there is enough; gone afterwards."""
    in_memory = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ENOUGH_MEMORY
    folder = tempfile.mkdtemp(prefix="stagebus-test-", dir=MEMORY if in_memory else None)
    postgres = LocalPostgres(Path(folder), version=version(), port=0, settings=settings)
    try:
        postgres.start()
        yield postgres
    finally:
        postgres.stop(signal.SIGQUIT)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def another_postgres(settings: Mapping[str, str] = SETTINGS) -> Iterator[LocalPostgres]:
    """One beside the server of all tests, of the same version; skips where there is none."""
    try:
        server_binaries(version())
    except PostgresError as error:
        pytest.skip(f"wants a server of its own: {error}")
    with new_postgres(settings) as postgres:
        yield postgres


@dataclass(frozen=True)
class Server:
    """Where the server is, in the words of pytest-postgresql."""

    host: str
    port: int
    user: str
    password: str | None
    maintenance_dbname: str = "postgres"
    template_dbname: str | None = None
    options: str = ""

    def url(self, database: str) -> str:
        """A libpq connection string for one of the server's databases."""
        return make_conninfo(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            dbname=database,
        )


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The server of all tests."""
    if GIVEN:
        parts = conninfo_to_dict(GIVEN)
        yield Server(
            host=str(parts.get("host") or "127.0.0.1"),
            port=int(parts.get("port") or 5432),
            user=str(parts.get("user") or "postgres"),
            password=None if parts.get("password") is None else str(parts["password"]),
            maintenance_dbname=str(parts.get("dbname") or "postgres"),
        )
        return
    with new_postgres() as postgres:
        assert postgres.port
        yield Server(host=str(postgres.folder), port=postgres.port, user="postgres", password=None)


def migrate_template(
    *, host: str, port: int, user: str, dbname: str, password: str | None, **_: Any
) -> None:
    """What makes the template: pytest-postgresql calls it once."""
    url = make_conninfo(host=host, port=port, user=user, dbname=dbname, password=password)
    migrate(url)
    with psycopg.connect(url) as connection:
        # Tests move the clock by hours; few are about what has become too old to be repeated.
        connection.execute(
            "select stagebus.set_destination(d, duplicate_window => '7 days')"
            " from unnest(array['tasks', 'jobs']) as d"
        )


template = factories.postgresql_noproc(
    dbname=f"stagebus_test_{os.getpid()}", load=[migrate_template], depends_on="server"
)


@pytest.fixture(scope="session")
def administrator(server: Server) -> Iterator[psycopg.Connection[Any]]:
    """A superuser's session in another database than those of the tests."""
    with psycopg.connect(server.url(server.maintenance_dbname), autocommit=True) as connection:
        yield connection


@pytest.fixture
def database_url(
    server: Server, template: Any, administrator: psycopg.Connection[Any]
) -> Iterator[str]:
    """A fresh, migrated database."""
    name = f"{template.template_dbname}_{next(NUMBERS)}"
    # To copy files is half the work of logging them, but asks for checkpoints.
    strategy = "wal_log" if GIVEN else "file_copy"
    administrator.execute(
        f'create database "{name}" template "{template.template_dbname}" strategy {strategy}'
    )
    # Settings of a database are not cloned with it.
    administrator.execute(f'alter database "{name}" set search_path = "$user", public, stagebus')
    yield server.url(name)
    administrator.execute(f'drop database if exists "{name}" with (force)')


@pytest.fixture
def caller(client: Client) -> Iterator[Client]:
    """A session of an ordinary role that has been granted stagebus_producer and no more."""
    client.execute(f"drop role if exists {CALLER}")
    client.execute(f"create role {CALLER} login in role stagebus_producer")
    session = client.session(CALLER)
    yield session
    session.close()
    client.execute(f"drop owned by {CALLER} cascade")
    client.execute(f"drop role {CALLER}")


@pytest.fixture
def client(database_url: str) -> Iterator[Client]:
    """A superuser's session in a fresh, migrated database."""
    with Client(database_url) as session:
        yield session
