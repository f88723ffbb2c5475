"""A bridge between an endpoint that keeps a journal and a database that fails."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from bridge.local.endpoint.process import RunningEndpoint, run_endpoint
from bridge.local.postgres import LocalPostgres
from bridge.migrate import migrate
from bridge.settings import Settings
from tests.bridge.conftest import (
    DATABASE_PASSWORD,
    as_login,
    assert_ledger_is_whole,
    collect_garbage,
    database_gate,
    expected_ids,
    journal_ids,
    states,
)
from tests.client import Client
from tests.conftest import Server, another_postgres

__all__ = ["collect_garbage", "database_gate"]

#: A bridge's login; the roles of a server are shared, so another process has another.
LOGIN = f"stagebus_test_faults_{os.getpid()}"


@pytest.fixture(scope="session")
def bridge_login(server: Server, template: Any) -> Iterator[None]:
    """The login exists; the template has made the role that it is a member of."""
    with psycopg.connect(server.url(server.maintenance_dbname), autocommit=True) as connection:
        connection.execute(
            f"create role {LOGIN} login password '{DATABASE_PASSWORD}' in role stagebus_bridge"
        )
        yield
        connection.execute(f"drop role {LOGIN}")


@pytest.fixture
def bridge_url(bridge_login: None, database_url: str) -> str:
    """The test's database, as a bridge's login."""
    return as_login(database_url, LOGIN)


@dataclass(frozen=True)
class Bus:
    """An endpoint of one test."""

    endpoint: RunningEndpoint
    journal: Path

    def settings(self, database_url: str, **named: Any) -> Settings:
        """Settings of a bridge to it; what is named replaces the default."""
        return Settings(
            **{
                "database_url": database_url,
                "servicebus_connection_string": self.endpoint.connection_string,
                "allow_fsync_off": True,
                "connections": 2,
                "poll": 0.2,
                **named,
            }
        )


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Bus]:
    journal = tmp_path / "endpoint.journal"
    with run_endpoint(arguments=["--journal", str(journal)]) as endpoint:
        yield Bus(endpoint, journal)


@contextmanager
def own_postgres(**settings: str) -> Iterator[LocalPostgres]:
    """A migrated server of one test, with these settings, that has a bridge's login."""
    with another_postgres(settings) as postgres:
        migrate(postgres.url())
        with psycopg.connect(postgres.url(), autocommit=True) as connection:
            connection.execute(f"create role {LOGIN} login in role stagebus_bridge")
        yield postgres


def as_bridge(url: str) -> str:
    """The same server, as the login that `own_postgres` has made."""
    return url.replace("postgresql://postgres@", f"postgresql://{LOGIN}@")


def said(caplog: pytest.LogCaptureFixture, event: str) -> list[dict[str, Any]]:
    """The fields of each such event of a bridge's log."""
    return [
        record.__dict__["stagebus_fields"]
        for record in caplog.records
        if record.getMessage() == event
    ]


def assert_delivered(client: Client, bus: Bus, job_ids: Sequence[UUID]) -> None:
    """Every task is stored once by the endpoint, and the database knows it."""
    assert set(states(client)) == {"queued"}
    assert (
        client.value("select count(*) from stagebus_data.batches where lease_until is not null")
        == 0
    )
    expected: Counter[str] = Counter()
    for job_id in job_ids:
        expected.update(expected_ids(client, job_id))
        assert_ledger_is_whole(client, job_id)
    assert journal_ids([bus.journal]) == expected
