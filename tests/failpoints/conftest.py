"""The fixtures of the bridge's tests, for those that have it fail at a point."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge import failpoints
from bridge.local.endpoint.process import RunningEndpoint, run_endpoint
from tests.bridge.conftest import (
    audiences,
    bridge_url,
    collect_garbage,
    settings,
    start_bridge,
)
from tests.client import Client
from tests.failpoints.scene import JournalledQueue

__all__ = ["audiences", "bridge_url", "collect_garbage", "settings", "start_bridge"]

QUEUES = [f"tasks-{number}" for number in range(1, 100)]
_ENTITIES = iter(QUEUES)


@pytest.fixture(scope="session")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the endpoint stores, told by itself: sooner read than received."""
    return tmp_path_factory.mktemp("endpoint") / "journal"


@pytest.fixture(scope="session")
def endpoint(journal: Path) -> Iterator[RunningEndpoint]:
    """An endpoint of these tests alone; what a bridge that was killed had locked is free soon."""
    with run_endpoint(
        QUEUES, arguments=["--journal", str(journal), "--lock-duration", "1"]
    ) as running:
        yield running


@pytest.fixture
def queue(endpoint: RunningEndpoint, journal: Path, client: Client) -> JournalledQueue:
    """An empty queue, and the destination `tasks` leads there."""
    name = next(_ENTITIES)
    client.set_destination("tasks", entity=name)
    return JournalledQueue(endpoint, name, journal)


@pytest.fixture(autouse=True)
def switched_off() -> Iterator[None]:
    """No failpoint of a test is on in the next."""
    yield
    failpoints.switch_on(None)
