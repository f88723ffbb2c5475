"""A team that defines plans: a producer with a schema of its own."""

from __future__ import annotations

import pytest

from tests.client import Client
from tests.conftest import CALLER


@pytest.fixture
def team(client: Client, caller: Client) -> Client:
    """A session of the team, which owns the schema gis."""
    client.execute(f"create schema gis authorization {CALLER}")
    client.execute("grant usage on schema gis to stagebus_nobody")
    client.execute("select stagebus.set_task_type('tile', batch_size => 100)")
    return caller
