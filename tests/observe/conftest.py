"""A system in which nothing is wrong yet."""

from __future__ import annotations

import pytest

from tests.client import Client
from tests.observe import troubles
from tests.observe.findings import findings
from tests.observe.troubles import report


@pytest.fixture
def healthy(client: Client) -> Client:
    """A bridge is alive, so that `doctor` has nothing to say."""
    report(client)
    assert findings(client) == []
    return client


@pytest.fixture
def quiet(client: Client) -> Client:
    """A bridge is alive, time stands still, and there is a task type."""
    troubles.quiet(client)
    return client
