"""Why there is no administration here: the SDK's client for it cannot be pointed at plain HTTP."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from azure.core.exceptions import ServiceRequestError
from azure.servicebus.management import ServiceBusAdministrationClient

from bridge.local.endpoint.process import RunningEndpoint


def test_the_administration_client_insists_on_tls(process: RunningEndpoint) -> None:
    host = urlsplit(process.control_url).netloc
    there = (
        f"Endpoint=sb://{host};SharedAccessKeyName=RootManageSharedAccessKey;"
        "SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true"
    )
    with (
        ServiceBusAdministrationClient.from_connection_string(there, retry_total=0) as client,
        pytest.raises(ServiceRequestError, match="SSL"),
    ):
        client.get_queue("tasks")
