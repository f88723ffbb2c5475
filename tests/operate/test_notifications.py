"""Whatever an operator sets going, bridges hear of: none of it waits for the next poll."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.client import Claim, Client, Listener

READY = ("stagebus_ready", "")

Step = Callable[[Client, Claim], Any]

BEFORE: dict[str, Step] = {
    "a held batch": lambda client, claim: client.order("hold_batch", claim.job_id, claim.batch_id),
    "a failed batch": lambda client, claim: client.fail_batch(claim, max_attempts=1),
    "a queued batch": lambda client, claim: client.finish_batch(claim),
    "a paused destination": lambda client, claim: client.execute(
        "select stagebus.pause_destination('tasks')"
    ),
    "a cancelling": lambda client, claim: client.order("cancel_stage", claim.job_id, 1),
}

THEN: dict[str, Step] = {
    "a held batch": lambda client, claim: client.order(
        "unhold_batch", claim.job_id, claim.batch_id
    ),
    "a failed batch": lambda client, claim: client.order(
        "retry_batch", claim.job_id, claim.batch_id
    ),
    "a queued batch": lambda client, claim: client.order(
        "retry_batch", claim.job_id, claim.batch_id
    ),
    "a paused destination": lambda client, claim: client.execute(
        "select stagebus.resume_destination('tasks')"
    ),
    "a cancelling": lambda client, claim: client.order(
        "stop_order", client.value("select order_id from stagebus.orders")
    ),
}


@pytest.mark.parametrize("what", BEFORE)
def test_bridges_hear_when_it_goes_on(client: Client, what: str) -> None:
    client.create_stage_tasks(client.create_job(), task_count=2)
    claim = client.claim()
    BEFORE[what](client, claim)
    listener = Listener(client, "stagebus_ready")
    THEN[what](client, claim)
    assert listener.heard() == [READY]
