"""Bridges that are killed advance jobs of random plans: each ends as the simple model says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.local.endpoint.process import RunningEndpoint, run_endpoint
from tests.bridge.conftest import Queue, journal_ids
from tests.client import Client
from tests.plans.random_dags.bridges import SETTINGS, run_bridges

SEED = 1


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """What the endpoint of this test has stored, told by itself."""
    return tmp_path / "journal"


@pytest.fixture
def endpoint(journal: Path) -> Iterator[RunningEndpoint]:
    with run_endpoint(["tasks"], arguments=["--journal", str(journal)]) as running:
        yield running


@pytest.fixture
def queue(endpoint: RunningEndpoint, client: Client) -> Queue:
    return Queue(endpoint, "tasks")


@pytest.mark.starts_first
def test_advanced_by_bridges_that_are_killed(
    client: Client, start_bridge: Any, journal: Path
) -> None:
    done = run_bridges(
        client,
        lambda points: start_bridge(STAGEBUS_FAILPOINTS=points, **SETTINGS),
        lambda: list(journal_ids([journal]).elements()),
        SEED,
    )
    for death in ("killed", "advance_job.before", "advance_job.after"):
        assert done[death], done
