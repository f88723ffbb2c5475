"""A team that defines plans: a producer with a schema of its own."""

from __future__ import annotations

import pytest

from tests.client import Client


@pytest.fixture
def team(client: Client, caller: Client) -> Client:
    """A session of the team, which owns the schema gis."""
    client.execute("create schema gis authorization stagebus_test_caller")
    client.execute("grant usage on schema gis to stagebus_nobody")
    client.execute("select stagebus.set_task_type('tile', batch_size => 100)")
    return caller
