"""The node `$cbs`, where a client presents its token before anything else.

Any token is taken: the endpoint listens on the loopback interface and keeps no secret.
"""

from __future__ import annotations

from bridge.local.endpoint.outcomes import NOT_IMPLEMENTED
from bridge.local.endpoint.requests import Reply, Request

PUT_TOKEN = "put-token"  # noqa: S105


def audience(request: Request) -> str:
    """The address of what a token is for; empty if it is not said."""
    return str(request.properties.get("name", ""))


def answer(request: Request) -> Reply:
    """The reply to one request of `$cbs`."""
    if request.operation == PUT_TOKEN:
        return Reply(200, "OK")
    return Reply(
        501, f"The operation {request.operation!r} is not supported here.", NOT_IMPLEMENTED
    )
