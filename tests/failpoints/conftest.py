"""The fixtures of the bridge's tests, for those that have it fail at a point."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bridge import failpoints
from tests.bridge.conftest import (
    audiences,
    bridge_url,
    collect_garbage,
    endpoint,
    queue,
    settings,
    start_bridge,
)

__all__ = [
    "audiences", "bridge_url", "collect_garbage", "endpoint", "queue", "settings", "start_bridge",
]  # fmt: skip


@pytest.fixture(autouse=True)
def switched_off() -> Iterator[None]:
    """No failpoint of a test is on in the next."""
    yield
    failpoints.switch_on(None)
