"""A bridge that is killed at any point of its work: the next one brings all of it to the end."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from tests.bridge.conftest import BridgeProcess, Queue
from tests.client import Client
from tests.eventually import eventually
from tests.failpoints.scene import LEASE, LEFT, POINTS, POLL, RECOVERY, Scene

Start = Callable[..., BridgeProcess]


@pytest.mark.parametrize("point", POINTS)
def test_after_a_kill_another_bridge_loses_nothing(
    client: Client, queue: Queue, start_bridge: Start, point: str
) -> None:
    scene = Scene(client, queue, point)
    arguments = (
        "--connections", "1", "--lease", str(LEASE), "--poll", str(POLL),
        "--send-deadline", str(scene.send_deadline),
    )  # fmt: skip
    killed = start_bridge(*arguments, STAGEBUS_FAILPOINTS=scene.failpoints("kill"))
    if scene.drains:
        killed.wait_for("failpoint.hit")
        killed.terminate()
    assert killed.exit_code() == -signal.SIGKILL
    last = killed.events()[-1]
    assert (last["event"], last["name"], last["action"]) == ("failpoint.hit", point, "kill")
    assert not scene.done or point == "finish_batch.after"

    start_bridge(*arguments)
    eventually(lambda: scene.done, within=RECOVERY)
    scene.assert_nothing_is_lost(LEFT.get(point))
