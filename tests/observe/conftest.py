"""A system of which `doctor` has nothing to say."""

from __future__ import annotations

import pytest

from tests.client import Client
from tests.observe.findings import findings
from tests.observe.troubles import report


@pytest.fixture
def healthy(client: Client) -> Client:
    """A bridge is alive, so that nothing is to be said."""
    report(client)
    assert findings(client) == []
    return client
