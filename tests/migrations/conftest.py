"""Databases that nobody has migrated yet."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest

from tests.conftest import Server


@pytest.fixture
def empty_database_url(server: Server) -> Iterator[str]:
    """A fresh database without stagebus; the roles of the cluster may be there."""
    name = f"empty_{uuid4().hex[:12]}"
    with psycopg.connect(server.url(server.maintenance_dbname), autocommit=True) as connection:
        connection.execute(f"create database {name}")
        yield server.url(name)
        connection.execute(f"drop database {name} with (force)")
