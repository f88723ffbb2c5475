"""Bridges that are killed at any point of their work: the next brings all of it to the end."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from bridge.settings import Settings
from tests.bridge.conftest import BridgeProcess
from tests.client import Client
from tests.eventually import eventually
from tests.failpoints.scene import (
    CALLS,
    LEFT,
    LONG_LEASE,
    MAINTENANCE,
    RECOVERY,
    SENT_AT_ONCE,
    SIDES,
    JournalledQueue,
    Outcome,
    Scene,
)

Make = Callable[..., Settings]
Start = Callable[..., BridgeProcess]


@pytest.mark.parametrize("call", CALLS)
def test_bridges_killed_before_and_after_a_call_lose_nothing(
    client: Client, queue: JournalledQueue, settings: Make, start_bridge: Start, call: str
) -> None:
    scene = Scene(client, queue, call, failures=2)
    given = scene.settings(settings)
    arguments = (
        "--connections", "1", "--lease", str(given.lease), "--poll", str(given.poll),
        "--send-deadline", str(given.send_deadline),
    )  # fmt: skip
    for side in SIDES:
        bridge = start_bridge(*arguments, STAGEBUS_FAILPOINTS=scene.failpoints("kill", side))
        if scene.drains:
            bridge.wait_for("failpoint.hit")
            bridge.terminate()
        assert bridge.exit_code() == -signal.SIGKILL
        last = bridge.events()[-1]
        assert (last["event"], last["name"]) == ("failpoint.hit", f"{call}.{side}")
        assert last["action"] == "kill"

    start_bridge(*arguments, "--lease", str(LONG_LEASE))
    eventually(lambda: scene.done, within=RECOVERY)
    if call in MAINTENANCE:
        # It was in the middle of a batch or not, as it happened.
        scene.assert_nothing_is_lost(Outcome(2, 2 * SENT_AT_ONCE), at_most=True)
    else:
        scene.assert_nothing_is_lost(LEFT[f"{call}.before"] + LEFT[f"{call}.after"])
